"""The feature catalogue, and the promises of feature tables."""
