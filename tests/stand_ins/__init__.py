"""Servers that speak the protocol of a vendor's service, and refuse what it refuses."""
