"""Compiled models that contain others: of a blend, behind a calibration, of a forecast in scales."""
