"""`make bench`: this project beside its peers, measured in one run.

Every row times whole processes, the two in turn, and quotes medians: what differs is then the work and not the hour.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.jvm_spark import jvm_spark_connect
from lakehouse import console
from lakehouse.settings import PROJECT

RUNS = 3


@dataclass(frozen=True)
class Row:
    """One comparison: seconds of each run, ours and the peer's."""

    what: str
    ours: list[float]
    peer: list[float]

    def cells(self) -> list[str]:
        ours, peer = statistics.median(self.ours), statistics.median(self.peer)
        return [self.what, f"{ours:.1f} s", f"{peer:.1f} s", f"{peer / ours:.1f} x"]


def dbt_build(folder: Path, target: str, remote: str | None = None) -> float:
    """Seconds of one `dbt build` into a warehouse below `folder`, from the start of the process to its end."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "SPARK_REMOTE"},
        "LAKEHOUSE_WAREHOUSE": str(folder / "warehouse"),
        **({"SPARK_REMOTE": remote} if remote else {}),
    }
    command = [str(Path(sys.executable).with_name("dbt")), "--quiet", "build", "--target", target]
    begin = time.monotonic()
    subprocess.run(
        [*command, "--target-path", str(folder / "target"), "--log-path", str(folder / "logs")],
        cwd=PROJECT,
        env=environment,
        check=True,
    )
    return time.monotonic() - begin


def in_turn(what: str, ours: Callable[[], float], peer: Callable[[], float]) -> Row:
    """Both once to warm up, then each RUNS times, alternating."""
    ours(), peer()
    pairs = [(ours(), peer()) for _ in range(RUNS)]
    return Row(what, [pair[0] for pair in pairs], [pair[1] for pair in pairs])


def main() -> None:
    """Run every benchmark and print one table."""
    if shutil.which("java") is None:
        sys.exit("The peer is JVM Spark, and there is no java on PATH. Install Java 17 and run `make bench` again.")
    with tempfile.TemporaryDirectory() as folder, jvm_spark_connect() as remote:
        console.stage(f"dbt build, {RUNS} runs each after a warm-up; the JVM server is up before they begin")
        row = in_turn(
            "dbt build, bank marketing: 6 models, 33 tests",
            lambda: dbt_build(Path(folder) / "ours", "local"),
            lambda: dbt_build(Path(folder) / "peer", "spark", remote),
        )
    console.table(["", "Sail in process", "JVM Spark + Delta", "ratio"], [row.cells()])


if __name__ == "__main__":
    main()
