"""`python -m training.maintenance [NAME]...`: compact tables, and delete data that is no longer needed."""

import re
from datetime import timedelta

import click

from lakehouse import console
from lakehouse.settings import Settings

WEEK = "7d"


class Duration(click.ParamType[timedelta]):
    """A number of days or hours, such as `7d` or `36h`; or `0`."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        match = re.fullmatch(r"(\d{1,5})([dh])|0", str(value))
        if match is None:
            self.fail(f"'{value}' is not a number of days or hours, such as 7d or 36h.", param, ctx)
        return timedelta(**{{"d": "days", "h": "hours"}[match[2] or "d"]: int(match[1] or 0)})


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--retain", type=Duration(), default=WEEK, show_default=True, help="Time for which every version stays."
)
@click.option("--dry-run", is_flag=True, help="Only print what would be deleted.")
def main(names: tuple[str, ...], retain: timedelta, *, dry_run: bool) -> None:
    """Compact the tables NAME (schema.table), or all tables, and delete data that no version in use reads."""
    from training.retention.maintain import maintain

    maintain(Settings.from_environment(), names, retain, dry_run=dry_run)


if __name__ == "__main__":
    console.run_command(main)
