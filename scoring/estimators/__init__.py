"""Estimators with scikit-learn's interface that a registered version may hold."""
