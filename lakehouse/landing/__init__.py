"""Landing files and deliveries, read into tables."""
