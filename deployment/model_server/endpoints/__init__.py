"""Serving endpoints: their state, configuration and control requests."""
