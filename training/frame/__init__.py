"""The training frame: the spine with its features, split into folds and holdout."""
