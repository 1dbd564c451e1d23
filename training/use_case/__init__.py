"""A use case as its file declares it."""
