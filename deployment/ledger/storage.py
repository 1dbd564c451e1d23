"""The boundary between a ledger and its storage, and the errors of a write."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import click

from lakehouse.errors import LakehouseError


class LedgerStorage(Protocol):
    """Storage of the entries; each home implements it in one file."""

    @property
    def location(self) -> str:
        """Place of the ledger in words, as the registry records it for other machines."""
        ...

    def require_writable(self) -> None:
        """Check before a decision that an entry can be written.

        Raises:
            LakehouseError: The ledger cannot be written to.
        """
        ...

    def lock(self, use_case: str) -> AbstractContextManager[None]:
        """Lock for changing the champion of a use case; one process holds it at a time.

        Raises:
            PromotionBusy: Another process holds the lock.
        """
        ...

    def rows(self, use_case: str) -> list[dict[str, Any]]:
        """Rows of the use case, ordered by number; an empty list before the first entry."""
        ...

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one row atomically.

        Raises:
            LakehouseError: The row was not added.
        """
        ...


class LedgerUnavailable(LakehouseError):
    """The ledger cannot be read or written to now."""


class EntryNotWritten(LedgerUnavailable):
    """An entry could not be written to the ledger."""

    @classmethod
    def of(cls, use_case: str, reason: Exception) -> "EntryNotWritten":
        return cls(
            f"could not write an entry to the ledger of {use_case}: {one_line(reason)}",
            hint="Free disk space, fix the permissions of deployment.ledger, or start its MLflow server. Then run the"
            " command again.",
        )


class PromotionBusy(LakehouseError):
    """Another command is changing the champion."""

    @classmethod
    def by(cls, holder: str) -> "PromotionBusy":
        return cls(
            f"another command is changing this champion: {holder}",
            hint="This command changed nothing. Wait for the other one to finish, then run this one again.",
        )


def one_line(reason: Exception) -> str:
    """Message of a Delta error in one line, without colours and stack trace."""
    text = click.unstyle(str(reason)).partition("\n   0: ")[0]
    return " ".join(text.split())
