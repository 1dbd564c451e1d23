"""`make bench`: this project beside its peers, and what its steps take as the data grow.

Each benchmark is a module of this folder whose command, `main`, measures in one run and prints one table. By itself
(`python -m benchmarks.scale --help`) it takes sizes; here it runs with those that benchmarks/README.md quotes.
"""

from importlib import import_module

import click

from lakehouse import console

BENCHMARKS = (
    "dbt_build",
    "scale",
    "point_in_time",
    "online_store",
    "search",
    "holdout",
    "tracking",
    "memory",
    "promotion",
    "generated_requests",
    "serving",
)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(BENCHMARKS))
def main(names: tuple[str, ...]) -> None:
    """Run the benchmarks NAMES, or all of them."""
    for name in names or BENCHMARKS:
        import_module(f"benchmarks.{name}").main.main([], standalone_mode=False)


if __name__ == "__main__":
    console.run_command(main)
