"""The dbt task of the bundle, run as by a job: its command, its packages, and a profile of a SQL warehouse."""

import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lakehouse.settings import PROJECT
from tests.stand_ins.sql_warehouse.server import Served


@dataclass(frozen=True)
class DbtTask:
    """A dbt task as the bundle declares it.

    Attributes:
        command: its only command.
        catalog: the catalog that the command's variables name.
        schema: the schema of its profile.
        dependencies: packages of its environment.
    """

    command: str
    catalog: str
    schema: str
    dependencies: Sequence[str]

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> "DbtTask":
        """The dbt task of a job."""
        (task,) = [each for each in job["tasks"] if "dbt_task" in each]
        dbt = task["dbt_task"]
        (command,) = dbt["commands"]
        specs = {each["environment_key"]: each["spec"] for each in job["environments"]}
        return cls(command, dbt["catalog"], dbt["schema"], specs[task["environment_key"]]["dependencies"])

    def run(self, environment: Path, folder: Path, served: Served, volumes: Path) -> str:
        """Run the command in a folder with the synced files, and return its time and dbt's summary.

        As in a workspace, a profile of the warehouse is in a folder of its own, and is the default.
        """
        landing = volumes / self.catalog / "staging" / "landing"  # as the command names it
        if not landing.exists():
            shutil.copytree(PROJECT / "dbt_project" / "landing", landing)
        profile = {"type": "databricks", "schema": self.schema, "threads": 1, **served.profile()}
        profiles = folder / "generated_profile"
        profiles.mkdir()
        content = {"lakehouse": {"target": "databricks", "outputs": {"databricks": profile}}}
        (profiles / "profiles.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
        binaries = environment / "bin"
        variables = {"PATH": f"{binaries}:/usr/bin:/bin", "HOME": str(folder), "DBT_PROFILES_DIR": str(profiles)}
        began = time.monotonic()
        result = subprocess.run(
            [binaries / "dbt", *shlex.split(self.command)[1:]], cwd=folder, env=variables,
            capture_output=True, text=True, timeout=1800, check=False,
        )  # fmt: skip
        if result.returncode or "Completed successfully" not in result.stdout:
            sys.exit(f"exit code {result.returncode} of {self.command}:\n{result.stdout}\n{result.stderr}")
        (summary,) = re.findall(r"PASS=\d+ .*", result.stdout)
        return f"{time.monotonic() - began:.0f} s, {summary}"
