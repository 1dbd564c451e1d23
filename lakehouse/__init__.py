"""The lakehouse: one Spark session, and Delta tables in a folder. All other packages build on it."""
