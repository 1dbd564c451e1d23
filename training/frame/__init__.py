"""The training frame: a spine with features, split into folds and a holdout."""
