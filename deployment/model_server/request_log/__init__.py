"""The request log and its payload tables."""
