"""A file larger than the memory that reading may take."""

import subprocess
import sys
from pathlib import Path

from lakehouse.settings import PROJECT

LIMIT = 60  # MiB of DuckDB; the texts are four times as large
READ = """
import resource, sys, tempfile
from pathlib import Path
from training.init.proposing.proposal import Wishes, propose
from training.init.reading.habits import Habits
from training.init.reading.opening import open_table
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
small, large, folder, limit = sys.argv[1:]
used = []
for path in (small, large):
    table = open_table(path, Habits(), Path(tempfile.mkdtemp(dir=folder)), limit)
    found = propose("data", table, Wishes("label", key=("none",)))
    used.append(peak())
print(table.rows, used[1] - used[0])
"""


def lines(path: Path, rows: int) -> str:
    filler = "x" * 300
    with path.open("w", encoding="utf-8") as file:
        file.write("id,text,number,label\n")
        for row in range(rows):
            file.write(f"{row},{row % 997:04}{filler},{row % 89},{'ab'[row % 3 == 0]}\n")
    return str(path)


def test_a_large_file_is_read_in_bounded_memory(tmp_path: Path) -> None:
    small, large = lines(tmp_path / "small.csv", 2_000), lines(tmp_path / "large.csv", 800_000)
    size = Path(large).stat().st_size / 2**20
    assert size > 240
    done = subprocess.run(
        [sys.executable, "-c", READ, small, large, str(tmp_path), f"{LIMIT}MB"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows, more = map(int, done.stdout.split())
    assert rows == 800_000
    assert more < 200
