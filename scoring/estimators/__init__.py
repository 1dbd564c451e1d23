"""Estimators of the scikit-learn kind that a registered version may hold, with what serving needs of them."""
