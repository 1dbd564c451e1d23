"""The stages of a training run, in order: read, search, refit, register, report."""
