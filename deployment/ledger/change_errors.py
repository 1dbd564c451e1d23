"""Errors of a change of the champion, with the way on."""

from deployment.ledger.entries import Entry
from lakehouse.errors import LakehouseError
from lakehouse.wording import format_version


class ChampionChanged(LakehouseError):
    """The champion changed while the command ran."""

    @classmethod
    def of(cls, name: str, expected: int | None, current: int | None) -> "ChampionChanged":
        return cls(
            f"the champion of {name} changed meanwhile from {format_version(expected)} to {format_version(current)}",
            hint="This command changed nothing. Run it again to compare with the new champion.",
        )


class ChampionDeleted(LakehouseError):
    """The champion was deleted from the registry."""

    @classmethod
    def of(cls, name: str, deleted: int, earlier: int) -> "ChampionDeleted":
        return cls(
            f"version {deleted} of {name} is the champion in the ledger, but was deleted from the registry",
            hint=f"Restore an earlier champion: python -m deployment.run rollback --use-case {name} --to {earlier}"
            ' --reason "..."',
        )


class ChangeIncomplete(LakehouseError):
    """The champion changed, but the change is not fully recorded."""

    @classmethod
    def of(cls, entry: Entry, reason: Exception) -> "ChangeIncomplete":
        return cls(
            f"version {entry.to_version} of {entry.use_case} is the champion, but not all is recorded: {reason}",
            hint="The next command completes it; to do it now:"
            f" python -m deployment.run verify --use-case {entry.use_case} --repair",
        )
