"""Forecasts: the models that only they need."""
