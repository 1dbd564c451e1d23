"""Writes requirements.txt: the packages of the jobs, as pyproject.toml declares them for every home.

With names of extras or dependency groups it prints their packages instead, for a lock of its own.
"""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FILE = HERE / "requirements.txt"
# The runtime provides Spark, and dbt runs in an environment of its own.
ENGINES = {"pysail", "pyspark", "dbt-core", "dbt-sail", "dbt-databricks"}
HEADER = "# Packages of the jobs, written from pyproject.toml by `make lock`. The runtime provides Spark.\n"


def requirements() -> str:
    """Content of the file."""
    project = _project()
    declared = [*project["dependencies"], *project["optional-dependencies"]["databricks"]]
    needed = [each for each in declared if re.split(r"[^\w-]", each)[0] not in ENGINES]
    return HEADER + "".join(f"{each}\n" for each in sorted(needed))


def packages(name: str) -> str:
    """The packages of an extra or a dependency group, one a line."""
    named = {**_file()["dependency-groups"], **_project()["optional-dependencies"]}
    return "".join(f"{each}\n" for each in named[name])


def _project() -> dict[str, Any]:
    project: dict[str, Any] = _file()["project"]
    return project


def _file() -> dict[str, Any]:
    return tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))


if __name__ == "__main__" and len(sys.argv) > 1:
    sys.stdout.write("".join(map(packages, sys.argv[1:])))
elif __name__ == "__main__":
    FILE.write_text(requirements(), encoding="utf-8")
