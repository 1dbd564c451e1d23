"""`python -m training.features`: list feature tables and features, and check promises."""

from typing import TYPE_CHECKING

import click

from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import PROJECT, Settings
from lakehouse.wording import number_of

if TYPE_CHECKING:
    from training.feature_store.store import FeatureReader

PROMISES = PROJECT / "dbt_project" / "feature_tables.json"


@click.command()
@click.argument("name", required=False)
@click.option(
    "--check", is_flag=True, help="Fail if the manifest removes or changes a recorded feature, type or key."
)
@click.option("--record", is_flag=True, help="Record the feature tables of the manifest as the new promises.")
@click.option("--manifest", default="target/manifest.json", show_default=True, help="Output of `dbt parse`.")
def main(name: str | None, check: bool, record: bool, manifest: str) -> None:
    """List the feature tables, or the features of the table NAME (schema.table).

    Tables that cannot be read are named after the others; the exit code is then 1.
    """
    if check and record:
        raise click.UsageError("--check and --record exclude each other: pass one of them.")
    if check or record:
        _promises(manifest, record=record)
        return
    from training.feature_store.home import open_store

    store = open_store(Settings.from_environment())
    if name:
        _features(store, name)
    else:
        _tables(store)


def _promises(manifest: str, *, record: bool) -> None:
    from training.catalogue import promises
    from training.use_case.use_case import load_all

    declared, before = promises.declared(PROJECT / manifest), promises.recorded(PROMISES)
    features = sum(len(promise.features) for promise in declared.values())
    summary = f"{number_of('feature table', len(declared))} with {number_of('feature', features)}"
    if record:
        promises.record(declared, PROMISES)
        console.detail(f"Promises recorded: {summary}")
    else:
        promises.require_kept(before, declared, load_all())
        console.detail(f"Promises kept: {summary}")


def _features(store: "FeatureReader", name: str) -> None:
    table = store.table(name)
    console.detail(table.description)
    rows = [[feature.name, feature.data_type, feature.description] for feature in table.features]
    console.table(["feature", "type", "meaning"], rows)


def _tables(store: "FeatureReader") -> None:
    from training.feature_store.errors import TablesLeftOut

    header = ["feature table", "version", "key", "timestamp", "features"]
    unreadable = dict[str, LakehouseError]()
    rows = [
        [table.name, str(table.version), ", ".join(table.keys), table.timestamp, str(len(table.features))]
        for table in store.tables(unreadable.__setitem__)
    ]
    console.table(header, rows)
    if unreadable:
        raise TablesLeftOut.of(f"{number_of('table', len(unreadable))} of the warehouse cannot be read", unreadable)


if __name__ == "__main__":
    console.run_command(main)
