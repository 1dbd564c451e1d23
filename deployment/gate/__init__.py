"""The promotion gate: compares the challenger with the champion on a pinned holdout."""
