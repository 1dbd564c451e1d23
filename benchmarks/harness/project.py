"""A copy of the project without its deliveries and tables, for benchmarks that deliver their own rows."""

import os
import shutil
from pathlib import Path

from lakehouse.settings import PROJECT
from simulation.run import SAMPLE, TABLES

COPIED = (
    "dbt_project",
    "dbt_project.yml",
    "selectors.yml",
    "profiles.yml",
    "lakehouse",
    "scoring",
    "training",
    "simulation",
)
LANDING = Path("dbt_project/landing/german_customers")


def copied_project(project: Path) -> dict[str, str]:
    """Copy the project to a folder; return the environment of commands that run there."""
    project.mkdir()
    for name in COPIED:
        (shutil.copytree if (PROJECT / name).is_dir() else shutil.copy)(PROJECT / name, project / name)
    for table in TABLES:
        shutil.rmtree(project / LANDING / table)
    (project / LANDING / SAMPLE).unlink()
    return {
        **{name: value for name, value in os.environ.items() if name not in {"SPARK_REMOTE", "LAKEHOUSE_WAREHOUSE"}},
        "PYTHONPATH": os.pathsep.join([str(project), str(project / "dbt_project" / "adapter")]),
    }
