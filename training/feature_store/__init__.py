"""The feature store: keyed feature tables, and frames as of a time. One module per home."""
