"""Time to write wide tables with the embedded adapter, with and without NOT NULL columns."""

import json
import os
import tempfile
from pathlib import Path
from statistics import median

import click
import yaml

from benchmarks.harness.measure import RUNS, measure, tool
from lakehouse import console
from lakehouse.settings import PROJECT

COLUMNS = (2, 75, 150, 300)  # the first shows the time that dbt takes to start
RAW = "select id as k, id % 3 = 0 as flag, cast(id as string) as number from range({rows})"


@click.command()
@click.option("--columns", type=click.IntRange(2), multiple=True, default=COLUMNS, show_default=True)
@click.option("--rows", type=click.IntRange(1), default=100_000, show_default=True)
def main(columns: tuple[int, ...], rows: int) -> None:
    """Build a table of flags and numbers, as an encoded feature table has them; each build is its own process."""
    table = []
    for count in columns:
        for not_null in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                cells = _measured(Path(folder), count, rows, not_null=not_null)
            console.detail(f"{count} columns, {'NOT NULL' if not_null else 'nullable'}: {', '.join(cells)}")
            table.append([f"{count:,}", "yes" if not_null else "no", *cells])
    console.stage(f"{rows:,} rows; medians of {RUNS} runs")
    console.table(["columns", "NOT NULL", "model", "dbt run, processor time"], table)


def _measured(project: Path, columns: int, rows: int, *, not_null: bool) -> list[str]:
    """Seconds of the model, and processor seconds of its whole process."""
    _write(project, columns, rows, not_null=not_null)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "dbt_project/adapter")])}
    command = [tool("dbt"), "--quiet", "run", "--project-dir", str(project), "--profiles-dir", str(project)]
    measure([*command, "--select", "raw"], project, environment)
    model, computing = [], []
    for _ in range(RUNS):
        computing.append(measure([*command, "--select", "wide"], project, environment).computing)
        (result,) = json.loads((project / "target/run_results.json").read_text(encoding="utf-8"))["results"]
        model.append(result["execution_time"])
    return [f"{median(model):.1f} s", f"{median(computing):.1f} s"]


def _write(project: Path, columns: int, rows: int, *, not_null: bool) -> None:
    names = [f"f{number}" for number in range(columns)]
    values = [
        f"cast(flag as int) as {name}" if number % 2 else f"try_cast(number as int) as {name}"
        for number, name in enumerate(names)
    ]
    constraints = {"constraints": [{"type": "not_null"}]} if not_null else {}
    contract = [{"name": name, "data_type": "int", **constraints} for name in names]
    wide = {"name": "wide", "config": {"contract": {"enforced": True}}, "columns": contract}
    outputs = {"t": {"type": "embedded", "schema": "gold", "threads": 4}}
    files = {
        "dbt_project.yml": {"name": "wide_tables", "profile": "wide_tables", "models": {"+materialized": "table"}},
        "profiles.yml": {"wide_tables": {"target": "t", "outputs": outputs}},
        "models/wide.yml": {"models": [wide]},
    }
    (project / "models").mkdir()
    for path, content in files.items():
        (project / path).write_text(yaml.safe_dump(content), encoding="utf-8")
    (project / "models/raw.sql").write_text(RAW.format(rows=rows), encoding="utf-8")
    query = f"select {', '.join(values)} from {{{{ ref('raw') }}}}"  # noqa: S608  (generated here)
    (project / "models/wide.sql").write_text(query, encoding="utf-8")


if __name__ == "__main__":
    console.run_command(main)
