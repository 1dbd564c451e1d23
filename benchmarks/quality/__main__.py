"""`python -m benchmarks.quality`."""

from benchmarks.quality.compare import main
from lakehouse import console

console.run_command(main)
