"""`history`: champions over time, with actor and reason."""

import json
from datetime import datetime

from deployment.commands.open_registry import registry
from deployment.commands.use_cases import require_known
from deployment.ledger.champion_change import ChampionChange
from deployment.ledger.entries import Entry
from deployment.ledger.home import open_ledger
from lakehouse import console
from lakehouse.settings import Settings


def history(name: str, settings: Settings, at: datetime | None, *, as_json: bool) -> None:
    """Print the entries of a use case, or the entry that made the champion of a time.

    Raises:
        LedgerBroken: Entries were changed or removed.
        UseCaseRefused: There are no entries, and no such use case.
    """
    with registry(settings) as client:
        recorded = ChampionChange(name, client, open_ledger(settings)).history()
    entries = list(recorded.entries)
    if not entries:
        require_known(name)  # a deleted use case keeps its history; an unknown name is an error
    if at is not None:
        change = recorded.change_at(at)
        entries = [] if change is None else [change]
    if as_json:
        console.verbatim(
            json.dumps([json.loads(entry.to_json()) | {"digest": entry.digest} for entry in entries], indent=2)
        )
    elif at is not None:
        console.detail(_champion_at(name, at, entries))
    elif not entries:
        console.detail(f"No entries for {name}: no version was evaluated, promoted or rolled back yet.")
    else:
        header = ["no.", "time (UTC)", "actor", "action", "version", "champion", "reason", "commit"]
        console.table(header, [_row(entry) for entry in entries])


def _champion_at(name: str, at: datetime, entries: list[Entry]) -> str:
    if not entries or entries[0].to_version is None:
        return f"At {at:%Y-%m-%d %H:%M:%S} UTC, {name} had no champion."
    entry = entries[0]
    return (
        f"At {at:%Y-%m-%d %H:%M:%S} UTC, version {entry.to_version} was the champion of {name}:"
        f" {entry.action} by {entry.actor} at {entry.at:%Y-%m-%d %H:%M:%S} UTC: {entry.reason}"
    )


def _row(entry: Entry) -> list[str]:
    before, after = (
        "none" if version is None else str(version) for version in (entry.from_version, entry.to_version)
    )
    return [
        str(entry.number),
        f"{entry.at:%Y-%m-%d %H:%M:%S}",
        entry.actor,
        entry.action,
        "" if entry.version is None else str(entry.version),
        f"{before} -> {after}" if entry.changes_champion else after,
        entry.reason,
        f"{entry.commit[:7]}-dirty" if entry.dirty else entry.commit[:7],
    ]
