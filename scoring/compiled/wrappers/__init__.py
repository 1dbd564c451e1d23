"""Compiled models that contain others: of a blend, behind a calibration or an imputer, of a forecast in scales."""
