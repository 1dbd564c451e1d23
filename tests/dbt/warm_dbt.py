"""A process that runs one dbt command after another, which saves the start of a process for each."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from lakehouse.settings import PROJECT
from tests.checkout import ended


@dataclass(frozen=True)
class WarmDbt:
    """The running process, in German time. Its commands read the project, and write below the folder of `start`."""

    process: subprocess.Popen[str]

    @classmethod
    @contextmanager
    def start(cls, folder: Path) -> Iterator["WarmDbt"]:
        paths = {"LAKEHOUSE_WAREHOUSE": folder / "warehouse", "LAKEHOUSE_LANDING": folder / "landing",
                 "DBT_TARGET_PATH": folder / "target", "DBT_LOG_PATH": folder / "logs"}  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.dbt.warm_dbt"],
            cwd=PROJECT,
            env={
                **os.environ,
                **{name: str(path) for name, path in paths.items()},
                "NO_COLOR": "1",
                "TZ": "Europe/Berlin",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with ended(process):
            yield cls(process)
            process.communicate(timeout=60)  # ends at the end of its input

    def run(self, *command: str, succeeds: bool = True) -> str:
        """Run a command without `dbt`; its output, after checking how it ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps(command)}\n")
        self.process.stdin.flush()
        success, output = json.loads(self.process.stdout.readline())
        assert success is succeeds, f"dbt {command}:\n{output}"
        return str(output)


def answer_commands() -> None:
    """Run the commands of standard input, and write the success and the output of each to standard output."""
    from dbt.adapters.embedded.connections import _session
    from dbt.adapters.factory import reset_adapters
    from dbt.cli.main import dbtRunner

    for line in sys.stdin:
        printed = io.StringIO()
        with redirect_stdout(printed):
            result = dbtRunner().invoke(json.loads(line))
        _session.cache_clear()  # an empty catalogue, as in a new process
        reset_adapters()
        answer = json.dumps([result.success, f"{result.exception or ''}\n{printed.getvalue()}"])
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    answer_commands()
