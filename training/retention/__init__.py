"""Retention of Delta versions: which are needed by models and searches, and how each home keeps them."""
