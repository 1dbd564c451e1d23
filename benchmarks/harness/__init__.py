"""Shared parts of the benchmarks: measurement, load, peers and targets."""
