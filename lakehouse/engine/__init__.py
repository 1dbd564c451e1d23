"""Spark engines outside this process."""
