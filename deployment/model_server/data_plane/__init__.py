"""Scoring requests: routing to a version, admission, batching, threads, metrics."""
