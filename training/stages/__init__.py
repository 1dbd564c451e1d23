"""The stages of a training run, in their order: read, search, refit, register, report."""
