"""Outcomes: labels that arrive after the predictions, and the performance that follows from their counts."""
