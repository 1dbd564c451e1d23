"""Findings: the result of one check, in one sentence, with the next command."""

from dataclasses import dataclass
from enum import StrEnum

from lakehouse.errors import LakehouseError


class Severity(StrEnum):
    """Severity of a finding; only an error makes `doctor` fail."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    UNCHECKED = "unchecked"  # it needs the network, or a workspace


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        area: area that was checked, such as `packages`.
        message: one sentence, with the values.
        remedy: the next command; None if nothing is to be done.
    """

    area: str
    severity: Severity
    message: str
    remedy: str | None = None


@dataclass(frozen=True)
class FindingArea:
    """Creates the findings of one area."""

    name: str

    def ok(self, message: str) -> Finding:
        return Finding(self.name, Severity.OK, message)

    def warning(self, message: str, remedy: str) -> Finding:
        return Finding(self.name, Severity.WARNING, message, remedy)

    def error(self, message: str, remedy: str) -> Finding:
        return Finding(self.name, Severity.ERROR, message, remedy)

    def unchecked(self, message: str, remedy: str) -> Finding:
        return Finding(self.name, Severity.UNCHECKED, message, remedy)


def sentence(err: LakehouseError) -> str:
    """The first line of an error as a sentence.

    >>> sentence(LakehouseError("no server responds")), sentence(LakehouseError("gold.people cannot be read"))
    ('No server responds.', 'gold.people cannot be read.')
    """
    line = err.failed.partition("\n")[0].rstrip(".")
    first = line.partition(" ")[0]
    return f"{line if '.' in first else line[:1].upper() + line[1:]}."
