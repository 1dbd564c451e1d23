"""Monitoring: windows of live traffic, compared with the population of the version that answered."""
