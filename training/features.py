"""`python -m training.features`: the feature tables of the store, and what each feature means."""

import click

from lakehouse import console
from lakehouse.settings import Settings
from training.feature_store.home import open_store


@click.command()
@click.argument("name", required=False)
def main(name: str | None) -> None:
    """List the feature tables, or the features of the table NAME (schema.table)."""
    store = open_store(Settings.from_environment())
    if name:
        table = store.table(name)
        console.detail(table.description)
        rows = [[feature.name, feature.data_type, feature.description] for feature in table.features]
        console.table(["feature", "type", "meaning"], rows)
        return
    header = ["feature table", "version", "key", "timestamp", "features"]
    rows = [
        [table.name, str(table.version), ", ".join(table.keys), table.timestamp, str(len(table.features))]
        for table in store.tables()
    ]
    console.table(header, rows)


if __name__ == "__main__":
    console.run_command(main)
