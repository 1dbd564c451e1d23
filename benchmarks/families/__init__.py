"""Families side by side on the same rows: errors with intervals, the time of a fit and that of a response."""
