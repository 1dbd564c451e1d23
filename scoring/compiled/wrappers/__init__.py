"""Compiled models that contain others: blends, stacks, calibrated ones, those behind an imputer, forecasters."""
