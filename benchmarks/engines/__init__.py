"""Sail beside JVM Spark: builds, growing data, and trials."""
