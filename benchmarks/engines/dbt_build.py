"""`dbt build` on Sail in process against JVM Spark with Delta."""

import os
import tempfile
from pathlib import Path

import click

from benchmarks.harness.jvm_spark import available, jvm_spark_connect
from benchmarks.harness.measure import RUNS, compare_medians, measure, tool
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import PROJECT


@click.command()
def main() -> None:
    """Build the models and tests of bank marketing into an empty warehouse."""
    if not available():
        raise LakehouseError(
            "the peer JVM Spark needs java, but there is no java on the PATH", hint="Install Java 17."
        )
    with tempfile.TemporaryDirectory() as folder, jvm_spark_connect() as remote:
        console.stage(f"dbt build, {RUNS} runs each after a warm-up; the JVM server starts before the first run")
        row = compare_medians(
            "dbt build, bank marketing",
            lambda: _build(Path(folder) / "ours", "local"),
            lambda: _build(Path(folder) / "peer", "spark", remote),
        )
    console.table(["", "Sail in process", "JVM Spark + Delta", "ratio"], [row])


def _build(folder: Path, target: str, remote: str | None = None) -> float:
    """Seconds of one build into a warehouse below `folder`."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "SPARK_REMOTE"},
        "LAKEHOUSE_WAREHOUSE": str(folder / "warehouse"),
        **({"SPARK_REMOTE": remote} if remote else {}),
    }
    folders = ("--target-path", str(folder / "target"), "--log-path", str(folder / "logs"))
    left_out = (
        "clothing_reviews", "review_embeddings", "german_customers", "regional_revenue", "series_forecasts",
        "water_flow",
    )  # fmt: skip
    selected = ("--exclude", *(f"tag:{tag}" for tag in left_out))
    command = [tool("dbt"), "--quiet", "build", "--target", target, *selected, *folders]
    return measure(command, PROJECT, environment).seconds


if __name__ == "__main__":
    console.run_command(main)
