"""Maintenance of several tables, and the sizes before and after."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from deltalake.exceptions import DeltaError
from pyspark.errors import PySparkException

from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from lakehouse.tables.vacuum import FolderSize
from lakehouse.wording import number_of
from training.retention.home import open_maintenance
from training.retention.maintained import MaintainedTable
from training.retention.needed import Users, needed_versions


class TablesNotMaintained(LakehouseError):
    """Some tables could not be maintained; all others were."""

    @classmethod
    def of(cls, failures: Mapping[str, Exception]) -> "TablesNotMaintained":
        reasons = "\n".join(f"  {name}: {reason}" for name, reason in failures.items())
        return cls(
            f"{number_of('table', len(failures))} not maintained:\n{reasons}",
            hint="Nothing of them was deleted after the error; all other tables were maintained. Correct the causes,"
            " then run the command again.",
        )


class RetentionTooShort(LakehouseError):
    """The retention is below the least of the home."""

    @classmethod
    def of(cls, retain: timedelta, least: timedelta) -> "RetentionTooShort":
        return cls(
            f"--retain is {retain.days} days, and this home keeps removed files for at least {least.days}",
            hint=f"Use --retain {least.days}d or more.",
        )


def maintain(settings: Settings, names: Sequence[str], retain: timedelta, *, dry_run: bool) -> None:
    """Maintain tables, or all without names, and print the size of each.

    Raises:
        RetentionTooShort: the home keeps removed files longer than `retain`.
        WarehouseBusy: another process writes to the warehouse.
        RegistryUnread, TrackingFailed: it is unknown which versions are needed; nothing was deleted.
        TablesNotMaintained: some tables cannot be read or written.
    """
    maintenance = open_maintenance(settings)
    if retain < maintenance.least_retention:
        raise RetentionTooShort.of(retain, maintenance.least_retention)
    done, failures = list[MaintainedTable](), dict[str, Exception]()
    with maintenance.exclusive(dry_run=dry_run):
        needed = needed_versions(settings, retain)
        for name in names or maintenance.tables():
            try:
                done.append(maintenance.maintain(name, needed.get(name, {}), retain, dry_run=dry_run))
            except (LakehouseError, DeltaError, PySparkException, OSError, ValueError) as err:
                failures[name] = err
        remains = maintenance.finish(dry_run=dry_run)
    _print_sizes(done, dry_run=dry_run)
    for description, size in remains.items():
        console.detail(f"{description}: {_freed(size, dry_run=dry_run)}")
    for table in done:
        _print_users(table, needed.get(table.name, {}))
    if failures:
        raise TablesNotMaintained.of(failures)


def _print_sizes(done: Sequence[MaintainedTable], *, dry_run: bool) -> None:
    rows = [
        [table.name, *_sizes(table), ", ".join(f"v{version}" for version in sorted(table.kept)), table.note]
        for table in done
    ]
    console.table(["table", "before", "after", "files before", "after", "versions kept", ""], rows)
    before = sum((table.before for table in done), FolderSize())
    after = sum((table.after for table in done), FolderSize())
    console.detail(f"{number_of('table', len(done))}: {_freed(before - after, dry_run=dry_run)}")


def _sizes(table: MaintainedTable) -> list[str]:
    before, after = table.before, table.after
    return [_megabytes(before.size), _megabytes(after.size), f"{before.files:,}", f"{after.files:,}"]


def _freed(size: FolderSize, *, dry_run: bool) -> str:
    return f"{_megabytes(size.size)} {'would be freed' if dry_run else 'freed'}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _print_users(table: MaintainedTable, users: Mapping[int, Users]) -> None:
    for version in sorted(table.kept):
        console.detail(f"{table.name} v{version} is kept for {_joined(users[version])}")
    for version in sorted(table.lost):
        console.detail(f"{table.name} v{version} was already lost; it was read by {_joined(users[version])}")


def _joined(users: Users) -> str:
    """Join users, and the versions of one model.

    >>> _joined(("version 1 of churn", "version 2 of churn", "version 1 of term_deposit"))
    'versions 1, 2 of churn and version 1 of term_deposit'
    """
    versions: dict[str, list[str]] = defaultdict(list)
    others: Collection[str] = [user for user in users if not user.startswith("version ")]
    for user in users:
        if user not in others:
            number, _, model = user.removeprefix("version ").partition(" of ")
            versions[model].append(number)
    grouped = [
        f"version{'s' if len(each) > 1 else ''} {', '.join(each)} of {model}" for model, each in versions.items()
    ]
    return " and ".join([*grouped, *others])
