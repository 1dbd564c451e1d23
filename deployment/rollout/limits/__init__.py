"""Limits of a rollout: the counts of both versions, and the tests that compare them."""
