"""`python -m training.publish --online [NAME]...`: publish the newest feature rows for lookup by key."""

import click

from lakehouse import console
from lakehouse.settings import Settings
from training.feature_store.home import open_store


@click.command()
@click.option(
    "--online", is_flag=True, required=True, help="Required. Offline feature tables are published by dbt build."
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
def main(names: tuple[str, ...], online: bool) -> None:
    """Update the online tables of the feature tables NAME (schema.table), or of all feature tables."""
    del online  # online is the only target
    store = open_store(Settings.from_environment())
    rows = []
    for name in names or [table.name for table in store.tables()]:
        published = store.publish(name)
        keys = "" if published.rows is None else f"{published.rows:,}"
        rows.append([name, str(published.version), keys, published.published_at])
    console.table(["online table", "version", "keys", "published at"], rows)


if __name__ == "__main__":
    console.run_command(main)
