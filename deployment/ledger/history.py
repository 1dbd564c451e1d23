"""What the entries of a ledger say: who is champion, who was, what is frozen and approved. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from deployment.ledger.entries import Entry


@dataclass(frozen=True)
class History:
    """The chain of one use case, oldest first."""

    entries: Sequence[Entry]

    @property
    def champion(self) -> int | None:
        """The version that the ledger knows as the champion."""
        return self.entries[-1].to_version if self.entries else None

    @property
    def head(self) -> str:
        """The hash of the last entry; empty where there is none."""
        return self.entries[-1].digest if self.entries else ""

    @property
    def reign(self) -> list[int]:
        """The champion and those that it stands on, oldest first.

        A promotion puts a version on top; a rollback takes away all above the one that it goes back to. So the way
        back never leads to a version that was rolled back from.
        """
        stack: list[int] = []
        for entry in self.of_this_model:
            if not entry.moved:
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
        """The version that a rollback goes back to."""
        return self.reign[-2] if len(self.reign) > 1 else None

    @property
    def of_this_model(self) -> Sequence[Entry]:
        """The entries about the versions that the registered model has now: those before are about another's."""
        begun = [entry.number for entry in self.entries if entry.action == "ledger_reset"]
        return self.entries[begun[-1] :] if begun else self.entries

    @property
    def former(self) -> list[int]:
        """Every version that was ever champion, the latest first."""
        latest = reversed(
            [entry.to_version for entry in self.of_this_model if entry.moved and entry.to_version is not None]
        )
        return list(dict.fromkeys(latest))

    @property
    def frozen(self) -> str:
        """Who stopped promotion, when and why; empty where it goes on."""
        for entry in reversed(self.entries):
            if entry.action == "unfrozen":
                return ""
            if entry.action == "frozen":
                return f"frozen by {_said(entry)}"
        return ""

    def approval(self, version: int) -> str:
        """Who approved the version after the champion's last change; empty where nobody did."""
        for entry in reversed(self.of_this_model):
            if entry.moved:
                return ""
            if entry.action == "approved" and entry.version == version:
                return f"by {_said(entry)}"
        return ""

    def ever_approved(self, version: int) -> bool:
        """Whether anybody approved the version at any time."""
        return any(entry.action == "approved" and entry.version == version for entry in self.of_this_model)

    def overtook(self, entry: Entry) -> bool:
        """Whether another entry has the place in the chain that this one was meant for."""
        place = self.entries[entry.number - 1 : entry.number]
        return any(each.digest != entry.digest for each in place)

    def at(self, time: datetime) -> Entry | None:
        """The change that made the champion of that time; None where there was none yet."""
        return next((entry for entry in reversed(self.entries) if entry.moved and entry.at <= time), None)

    def verdict_on(self, version: int) -> Entry | None:
        """The last decision about a version."""
        judged = (each for each in reversed(self.of_this_model) if each.version == version and each.verdict)
        return next(judged, None)


def _said(entry: Entry) -> str:
    return f"{entry.actor} at {entry.at:%Y-%m-%d %H:%M:%S} UTC: {entry.reason}"
