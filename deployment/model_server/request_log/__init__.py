"""The log of requests and the payload tables."""
