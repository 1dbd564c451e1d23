"""Refusals of the gate: an invalid rollback, approval or reason."""

from deployment.ledger import aliases
from deployment.ledger.entries import MAX_REASON_LENGTH
from lakehouse.errors import LakehouseError


class RollbackRefused(LakehouseError):
    """The rollback has no valid target."""

    @classmethod
    def no_previous(cls, name: str, candidates: list[int]) -> "RollbackRefused":
        show = f"python -m deployment.run history --use-case {name}"
        former = f"; former champions: {_format_versions(candidates)}" if candidates else ""
        return cls(
            f"{name} has no previous champion to roll back to{former}",
            hint=f"Choose one with --to. Show the history: {show}" if candidates else f"Show the history: {show}",
        )

    @classmethod
    def never_champion(cls, name: str, version: int, champions: list[int]) -> "RollbackRefused":
        return cls(
            f"version {version} of {name} was never champion; champions so far: {_format_versions(champions)}",
            hint=f"To make a new version champion: python -m deployment.run promote --use-case {name}",
        )

    @classmethod
    def other_champion(cls, name: str, version: int, champion: int | None) -> "RollbackRefused":
        return cls(
            f"version {version} of {name} is not rolled back: the champion is {champion or 'no version'}",
            hint=f"Show the history: python -m deployment.run history --use-case {name}",
        )


class NotApproved(LakehouseError):
    """The challenger lacks an approval."""

    @classmethod
    def of(cls, name: str, version: int, tag: str) -> "NotApproved":
        state = f"its tag {aliases.APPROVAL} is '{tag}'" if tag else f"it has no tag {aliases.APPROVAL}"
        return cls(
            f"version {version} of {name} is not approved: {state}, or the champion changed since its approval",
            hint=f"Set the tag to {aliases.APPROVED}, or run: python -m deployment.run approve --use-case {name}"
            f' --version {version} --reason "..."',
        )


class ReasonRefused(LakehouseError):
    """A reason is empty or too long."""

    @classmethod
    def of_length(cls, length: int) -> "ReasonRefused":
        return cls(
            f"a reason needs 1 to {MAX_REASON_LENGTH} characters, this one has {length}",
            hint="Give the reason in one sentence.",
        )


def _format_versions(versions: list[int]) -> str:
    return ", ".join(map(str, versions)) or "none"
