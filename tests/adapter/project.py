"""Small dbt projects for tests, each in its own folder."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import yaml
from dbt.adapters.embedded.connections import _session
from dbt.adapters.factory import reset_adapters
from dbt.cli.main import dbtRunner
from deltalake import DeltaTable

from lakehouse.tables.warehouse import TableName, Warehouse
from tests.checkout import ended

MODELS = {"+materialized": "table"}


@dataclass(frozen=True)
class Project:
    """Project folder with its warehouse in the subfolder `warehouse`."""

    root: Path
    remote: str | None = None

    @classmethod
    def below(cls, folder: Path, files: dict[str, str], remote: str | None = None) -> "Project":
        project = cls(folder / "project", remote)
        target = {"type": "embedded", "schema": "gold", "threads": 4} | ({"remote": remote} if remote else {})
        flags = {"send_anonymous_usage_stats": False, "version_check": False}
        settings = {"name": "small", "profile": "small", "models": MODELS, "flags": flags}
        project.write(
            {
                "dbt_project.yml": yaml.safe_dump(settings),
                "profiles.yml": yaml.safe_dump({"small": {"target": "t", "outputs": {"t": target}}}),
                **files,
            }
        )
        return project

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.root / "warehouse")

    def write(self, files: dict[str, str]) -> None:
        for path, text in files.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text, encoding="utf-8")

    def start(self, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        folder = ["--project-dir", str(self.root), "--profiles-dir", str(self.root)]
        return subprocess.Popen(
            [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", *arguments, *folder],
            cwd=cwd or self.root,
            env={**os.environ, "DBT_LOG_PATH": str(self.root / "logs")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def dbt(self, *arguments: str, exits: int = 0) -> str:
        """Run a command in this process and return its output."""
        printed = io.StringIO()
        folder = [
            "--project-dir",
            str(self.root),
            "--profiles-dir",
            str(self.root),
            "--log-path",
            str(self.root / "logs"),
        ]
        _session.cache_clear()  # an empty catalogue, as in a new process
        with redirect_stdout(printed):
            result = dbtRunner().invoke(["--no-use-colors", *arguments, *folder])
        reset_adapters()  # dbt keeps the last adapter, and the fixtures of its suite would reuse it
        assert result.success is (exits == 0), f"dbt {arguments}: {result.exception}\n{printed.getvalue()}"
        return printed.getvalue()

    def process(self, *arguments: str, exits: int = 0, cwd: Path | None = None) -> str:
        """Run a command in a separate process and return its output."""
        with ended(self.start(*arguments, cwd=cwd)) as process:
            output, _ = process.communicate(timeout=200)
        assert process.returncode == exits, f"dbt {arguments} exited with {process.returncode}:\n{output}"
        return output

    def rows(self, table: str, version: int | None = None) -> list[dict[str, object]]:
        """Rows of the table at a version, or at the newest, read without an engine."""
        rows = self.warehouse.open(TableName.parse(table), version).to_pyarrow_table().to_pylist()
        return sorted(rows, key=lambda row: [(value is None, str(value)) for value in row.values()])

    def table(self, table: str) -> DeltaTable:
        return self.warehouse.open(TableName.parse(table))

    def properties(self, table: str) -> dict[str, str]:
        return dict(self.warehouse.open(TableName.parse(table)).metadata().configuration)

    def version(self, table: str) -> int:
        return self.warehouse.open(TableName.parse(table)).version()
