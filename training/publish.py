"""`python -m training.publish --online [NAME]...`: publish the newest feature rows for lookup by key."""

import click

from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from lakehouse.wording import number_of


@click.command()
@click.option(
    "--online", is_flag=True, required=True, help="Update the online tables; `dbt build` publishes the offline ones."
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
def main(names: tuple[str, ...], online: bool) -> None:
    """Update the online tables of the feature tables NAME (schema.table), or of all feature tables.

    A table that cannot be published does not stop the others; the exit code is then 1. Of all tables, those with
    texts are left out: requests send them.
    """
    from lakehouse.tables.online_store import TextsNotPublished
    from training.feature_store.errors import TablesLeftOut
    from training.feature_store.home import open_store

    del online  # online is the only target
    store = open_store(Settings.from_environment())
    rows, failures = list[list[str]](), dict[str, LakehouseError]()
    for name in names or [table.name for table in store.tables(failures.__setitem__)]:
        try:
            published = store.publish(name)
        except LakehouseError as err:
            if isinstance(err, TextsNotPublished) and not names:
                console.detail(err.failed)
            else:
                failures[name] = err
            continue
        keys = "" if published.rows is None else f"{published.rows:,}"
        rows.append([name, str(published.version), keys, published.published_at])
    console.table(["online table", "version", "keys", "published at"], rows)
    if failures:
        raise TablesLeftOut.of(f"{number_of('table', len(failures))} could not be published", failures)


if __name__ == "__main__":
    console.run_command(main)
