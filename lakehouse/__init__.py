"""The lakehouse itself: one Spark session, and Delta tables in a folder. Everything else builds on it."""
