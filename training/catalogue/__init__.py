"""The feature catalogue, and what feature tables have promised."""
