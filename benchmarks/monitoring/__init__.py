"""Benchmarks of monitoring: false alarms and delay of detection, and time and memory of a month of payload rows."""
