"""What benchmarks share: clocks and tables, load, peers, targets."""
