"""Gradual move of an endpoint's traffic to a new champion, watched against the stable version, and its way back."""
