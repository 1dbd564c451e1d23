"""`python -m training.search.executors DESCRIPTOR FILE MEMORY`: a worker process, started by `processes`."""

import sys
from pathlib import Path

from training.search.executors.worker import main

main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if sys.argv[3] else None)
