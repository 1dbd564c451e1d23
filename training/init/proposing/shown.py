"""A proposal on the console: one table of all columns, and notes."""

from lakehouse import console
from lakehouse.wording import number_of
from scoring.encodings.categories import slug
from training.init.proposing.metrics import metrics_of
from training.init.proposing.proposal import Proposal
from training.init.proposing.roles import ColumnRole, outcome_notes
from training.init.proposing.sentinels import sentinel_notes


def show(proposal: Proposal) -> None:
    """Print what was found and decided: one table of all columns, and the notes."""
    table = proposal.table
    console.detail(f"{number_of('row', table.rows)}, {number_of('column', len(table.columns))} in {table.source}")
    read = [role.profile for role in proposal.roles if role.is_feature or role.role in {"target", "time"}]
    for note in (*table.notes, *outcome_notes(proposal.roles), *sentinel_notes(table.connection, read)):
        console.detail(note)
    rows = [[_shown(role), role.profile.column.kind, role.role, _why(role), role.change] for role in proposal.roles]
    if not proposal.identity.key:
        rows.insert(0, ["row_number", "bigint", "key", proposal.identity.why["row_number"], "--key COLUMN"])
    console.table(["column", "type", "role", "why", "how to change"], rows)
    console.detail(f"Split: {_split(proposal)}")
    if proposal.sample.why:
        console.detail(proposal.sample.why)
    metrics = metrics_of(proposal.target)
    console.detail(f"Promotion: {metrics.promotion} of at least {metrics.minimum:g}; {metrics.why}")


def _shown(role: ColumnRole) -> str:
    """Name in SQL, with the name in the file where a person would not find it again."""
    column = role.profile.column
    if column.name.replace("_", "") == slug(column.source_name).replace("_", ""):
        return column.name
    return f"{column.name} ({column.source_name or 'no name'})"


def _why(role: ColumnRole) -> str:
    note = role.profile.column.note
    return f"{role.why}; {note}" if note and note not in role.why else role.why


def _split(proposal: Proposal) -> str:
    identity = proposal.identity
    if identity.group is not None:
        return (
            f"rows of the same {identity.group} stay together, in one fold or in the holdout (--group none: by row)"
        )
    if identity.time is not None:
        return f"by {identity.time}: the last fifth is the holdout"
    by = "by label" if proposal.target.task.predicts_classes else "at random"
    return f"{by}; the rows have no time (--time COLUMN: the last fifth by time)"
