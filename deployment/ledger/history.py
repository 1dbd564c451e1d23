"""State derived from the entries of a ledger: champions, freezes and approvals. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from deployment.ledger.entries import Entry


@dataclass(frozen=True)
class History:
    """Chain of one use case, oldest entry first."""

    entries: Sequence[Entry]

    @property
    def champion(self) -> int | None:
        """Champion according to the ledger."""
        return self.entries[-1].to_version if self.entries else None

    @property
    def head(self) -> str:
        """Hash of the last entry; empty without entries."""
        return self.entries[-1].digest if self.entries else ""

    @property
    def rollback_stack(self) -> list[int]:
        """Champions that a rollback can return to, oldest first; the current champion comes last.

        A promotion adds a version on top; a rollback removes everything above its target. A rollback thus never
        returns to a version that was itself rolled back.
        """
        stack: list[int] = []
        for entry in self.since_reset:
            if not entry.changes_champion:
                continue
            if entry.to_version is None:
                stack.clear()
            elif entry.to_version not in stack:
                stack.append(entry.to_version)
            elif entry.action == "promoted":
                stack.remove(entry.to_version)
                stack.append(entry.to_version)
            else:
                del stack[stack.index(entry.to_version) + 1 :]
        return stack

    @property
    def previous(self) -> int | None:
        """Default target of a rollback."""
        return self.rollback_stack[-2] if len(self.rollback_stack) > 1 else None

    @property
    def since_reset(self) -> Sequence[Entry]:
        """Entries about the current registered model.

        Those before the last reset concern a deleted one. Those that a restored registry lost concern versions that
        no longer exist, whose numbers later versions get again.
        """
        current: list[Entry] = []
        for entry in self.entries:
            if entry.action == "ledger_reset":
                current = []
            elif entry.resumes is not None:
                current = [*(each for each in current if each.number <= entry.resumes), entry]
            else:
                current.append(entry)
        return current

    def number_of(self, digest: str) -> int | None:
        """Number of the entry with this hash."""
        return next((entry.number for entry in self.entries if entry.digest == digest), None)

    @property
    def all_champions(self) -> list[int]:
        """Every version that was ever champion, latest first."""
        latest = reversed(
            [
                entry.to_version
                for entry in self.since_reset
                if entry.changes_champion and entry.to_version is not None
            ]
        )
        return list(dict.fromkeys(latest))

    @property
    def frozen(self) -> str:
        """Actor, time and reason of the current freeze; empty without one."""
        for entry in reversed(self.entries):
            if entry.action == "unfrozen":
                return ""
            if entry.action == "frozen":
                return f"frozen by {_format_entry(entry)}"
        return ""

    def approval(self, version: int, after: str = "") -> str:
        """Actor, time and reason of an approval since the last champion change; empty without one.

        Args:
            after: text in the reason of a refusal of the version; only an approval after such a refusal counts.
        """
        refusals = [
            entry.number
            for entry in self.since_reset
            if entry.action == "refused" and entry.version == version and after in entry.reason
        ]
        for entry in reversed(self.since_reset):
            if entry.changes_champion or (after and not any(number < entry.number for number in refusals)):
                return ""
            if entry.action == "approved" and entry.version == version:
                return f"by {_format_entry(entry)}"
        return ""

    def ever_approved(self, version: int) -> bool:
        """True if the version was ever approved."""
        return any(entry.action == "approved" and entry.version == version for entry in self.since_reset)

    def conflicts_with(self, entry: Entry) -> bool:
        """True if the chain holds a different entry under this entry's number."""
        recorded = self.entries[entry.number - 1 : entry.number]
        return any(each.digest != entry.digest for each in recorded)

    def change_at(self, time: datetime) -> Entry | None:
        """Entry that made the champion of that time; None before the first champion."""
        return next((entry for entry in reversed(self.entries) if entry.changes_champion and entry.at <= time), None)

    def last_verdict(self, version: int | None = None) -> Entry | None:
        """Last entry with a verdict on the version; on any version for None."""
        verdicts = (each for each in reversed(self.since_reset) if each.verdict)
        return next((each for each in verdicts if version in {None, each.version}), None)


def _format_entry(entry: Entry) -> str:
    return f"{entry.actor} at {entry.at:%Y-%m-%d %H:%M:%S} UTC: {entry.reason}"
