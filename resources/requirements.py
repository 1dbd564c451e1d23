"""Writes requirements.txt: the packages of the jobs, as pyproject.toml declares them for every home."""

import re
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
FILE = HERE / "requirements.txt"
# The runtime provides Spark, and dbt runs in an environment of its own.
ENGINES = {"pysail", "pyspark", "dbt-core", "dbt-sail", "dbt-databricks"}
HEADER = "# Packages of the jobs, written from pyproject.toml by `make lock`. The runtime provides Spark.\n"


def requirements() -> str:
    """Content of the file."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["databricks"]]
    needed = [each for each in declared if re.split(r"[^\w-]", each)[0] not in ENGINES]
    return HEADER + "".join(f"{each}\n" for each in sorted(needed))


if __name__ == "__main__":
    FILE.write_text(requirements(), encoding="utf-8")
