"""Values that a shell completes."""

import click

from lakehouse.settings import PROJECT


def use_case_names(_context: click.Context, _option: click.Parameter, typed: str) -> list[str]:
    """Names of the use cases of this project that begin with the typed text."""
    return sorted(file.stem for file in (PROJECT / "training" / "use_cases").glob(f"{typed}*.yml"))
