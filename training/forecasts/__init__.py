"""Forecasts that are fitted before a search: statistical models of single series."""
