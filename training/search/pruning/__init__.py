"""Pruning: poor trials stop early, after a fold or after epochs of a network."""
