"""`python -m training.score --use-case NAME --input TABLE --output TABLE`: write predictions for a table."""

from collections.abc import Mapping

import click

from lakehouse import console
from lakehouse.options.use_case import use_case_option
from lakehouse.settings import Settings

REASONS_PRINTED = 5


@click.command()
@use_case_option(required=True)
@click.option(
    "--input",
    "source",
    required=True,
    help="Input table (schema.table): the raw request columns, or only keys and timestamp for feature look-up.",
)
@click.option("--output", "target", required=True, help="Output table (schema.table); it must not exist.")
@click.option("--version", "requested", metavar="N|ALIAS", help="Version to score with. [default: champion]")
def main(name: str, source: str, target: str, requested: str | None) -> None:
    """Write a version's predictions for the rows of a table to a new table."""
    from training.batch_scoring import ScoringVersion, counts, find_version, score
    from training.feature_store.home import open_store
    from training.tracking import tracking
    from training.use_case.use_case import load

    use_case, settings = load(name), Settings.from_environment()
    with tracking(settings) as client:
        version = find_version(client, name, requested)
        store = open_store(settings)
        console.stage(f"Scoring {source} with version {version.version} of {name}")
        score(use_case, ScoringVersion.of(version), store, source, target)
    _print_counts(counts(store.rows(target)), target)


def _print_counts(rows: Mapping[str | None, int], target: str) -> None:
    from scoring.batch import REASON_COLUMN

    rejected = {reason: count for reason, count in rows.items() if reason is not None}
    console.detail(f"{target}: {rows.get(None, 0):,} rows with a prediction, {sum(rejected.values()):,} rejected")
    for reason, count in list(rejected.items())[:REASONS_PRINTED]:
        console.detail(f"{count:>9,} {reason}")
    if len(rejected) > REASONS_PRINTED:
        console.detail(f"          and {len(rejected) - REASONS_PRINTED:,} other reasons, see column {REASON_COLUMN}")


if __name__ == "__main__":
    console.run_command(main)
