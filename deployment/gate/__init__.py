"""The gate: a challenger is judged against the champion on a pinned holdout."""
