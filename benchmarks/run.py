"""`make bench`: comparisons with peers, and time and memory of each step for growing data.

Each benchmark is a module of this folder or of `engines`. Its command, `main`, measures in one run and prints one
table. On its own (`python -m benchmarks.scale --help`) it takes sizes; here it runs with the sizes quoted in
benchmarks/README.md.
"""

from importlib import import_module

import click

from lakehouse import console
from lakehouse.options.choices import OneOf

BENCHMARKS = (
    "engines.dbt_build",
    "engines.dbt_duckdb",
    "engines.scaling",
    "engines.trials",
    "scale",
    "wide_tables",
    "nightly",
    "point_in_time",
    "online_store",
    "search",
    "holdout",
    "quality.compare",
    "tracking",
    "memory",
    "promotion",
    "monitoring.drift",
    "monitoring.payload_month",
    "generated_requests",
    "serving",
)


@click.command()
@click.argument("names", nargs=-1, type=OneOf(BENCHMARKS))
def main(names: tuple[str, ...]) -> None:
    """Run the benchmarks NAMES, or all of them."""
    for name in names or BENCHMARKS:
        import_module(f"benchmarks.{name}").main.main([], standalone_mode=False)


if __name__ == "__main__":
    console.run_command(main)
