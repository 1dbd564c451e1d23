"""A copy of the project in a folder of its own, and its commands run there as a person would run them."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lakehouse.settings import PROJECT
from tests.ports import free_port

# MLflow sets its own two for whoever is asked for another store in this process.
ELSEWHERE = {"SPARK_REMOTE", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"}
COPIED = [
    "dbt_project",
    "lakehouse",
    "scoring",
    "training",
    "deployment",
    "dbt_project.yml",
    "profiles.yml",
    "selectors.yml",
]


@dataclass(frozen=True)
class Checkout:
    """A project folder and the environment of its commands."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)

    @classmethod
    def below(cls, folder: Path) -> "Checkout":
        """Copy what the commands need, and nothing that they have made."""
        checkout = cls.at(folder)
        root = checkout.root
        for name in COPIED:
            source = PROJECT / name
            if source.is_dir():
                shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, root / name)
        return checkout

    @classmethod
    def at(cls, folder: Path) -> "Checkout":
        """The checkout of a folder, with a port of its own for its server."""
        return cls(folder / "project", {"MODEL_SERVER": f"http://127.0.0.1:{free_port()}"})

    @property
    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
        # Before the editable install, which points at the project that the tests run in.
        path = os.pathsep.join([str(self.root), str(self.root / "dbt_project" / "adapter")])
        return {**ours, "PYTHONPATH": path, "NO_COLOR": "1", **self.variables}

    def start_line(self, line: str, put: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Type a line of the documentation into a shell, with the environment active."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.Popen(
            ["bash", "-c", f"exec env {with_words(line, put)}"],
            cwd=self.root,
            env=self.environment | {"PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def type_line(self, line: str, put: Mapping[str, str] | None = None, *, exits: int = 0) -> str:
        """Type a line of the documentation, as `start_line` does, and wait; its output.

        Args:
            line: the line as the page has it; `tests/docs/test_typed_commands.py` looks for it.
            put: a name, a folder or a small size, by the words of the line that it replaces.
            exits: the exit code that is expected.
        """
        return _output(line, self.start_line(line, put), exits)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command: `dbt ...`, or a module with its arguments."""
        dbt = str(Path(sys.executable).with_name("dbt"))
        return subprocess.Popen(
            [dbt, *command[1:]] if command[0] == "dbt" else [sys.executable, "-m", *command],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str, exits: int = 0) -> str:
        """Run a command to its end; its output, after checking how it exited."""
        return _output(shlex.join(command), self.start(*command), exits)


def with_words(line: str, put: Mapping[str, str] | None) -> str:
    """The line with other words in place of some of its own, each of which it must have."""
    for word, value in (put or {}).items():
        assert word in line, f"{word} is not in {line}"
        line = line.replace(word, value)
    return line


def _output(command: str, started: subprocess.Popen[str], exits: int) -> str:
    with ended(started) as process:
        output, _ = process.communicate(timeout=900)
    assert process.returncode == exits, (
        f"{command} exited with {process.returncode}. The last lines first:\n{_last_lines(output)}\n\n{output}"
    )
    return output


def _last_lines(output: str) -> str:
    # A log that is cut in the middle still has the reason: dbt repeats its failures at the end.
    return "\n".join(output.splitlines()[-40:])


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """The process, which ends with the block: a test that fails leaves nothing behind that slows the others."""
    with process:
        try:
            yield process
        finally:
            process.kill()
