"""The proposal for a table: roles of its columns, and its split."""

from collections.abc import Mapping
from dataclasses import dataclass

from lakehouse.wording import number_of
from training.init.errors import InitRefused
from training.init.proposing.absent import with_missing_values
from training.init.proposing.keys import NO_COLUMN, KeyOptions, RowIdentity, find_identity
from training.init.proposing.profile import ColumnProfile, profiles
from training.init.proposing.roles import ColumnRole, find_roles
from training.init.proposing.sampling import ALL_ROWS, RowSample, row_sample
from training.init.proposing.target import Target, target_of
from training.init.reading.given import GivenTable

LEAST_ROWS = 50


@dataclass(frozen=True)
class Wishes:
    """Choices of the person about the columns; names as in the file or as in SQL."""

    target: str
    task: str | None = None
    key: tuple[str, ...] = ()
    time: str | None = None
    group: str | None = None
    exclude: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    rows: int | None = None


@dataclass(frozen=True)
class Proposal:
    """A use case for a table, before anything is written.

    Attributes:
        name: name of the use case, its models and its folder.
        table: the given table.
        target: label and task.
        identity: key, time and group of the rows.
        roles: role of each column, in the order of the file.
        sample: the rows that training reads.
    """

    name: str
    table: GivenTable
    target: Target
    identity: RowIdentity
    roles: tuple[ColumnRole, ...]
    sample: RowSample = ALL_ROWS

    @property
    def features(self) -> list[ColumnRole]:
        """The columns that the model reads."""
        return [role for role in self.roles if role.is_feature]

    @property
    def split(self) -> dict[str, object]:
        """The `split` of the use case."""
        if self.identity.group is not None:
            return {"by": "column", "column": "fold"}
        if self.identity.time is not None:
            return {"by": "time", "holdout": 0.2, "folds": 3}
        return {"by": "stratified" if self.target.task.predicts_classes else "group", "holdout": 0.2, "folds": 3}


def propose(name: str, table: GivenTable, wishes: Wishes) -> Proposal:
    """Profile the table and propose a role for each column.

    Raises:
        InitRefused: a named column is missing, the target is no label, or no feature is left.
    """
    known = {column.name: column.name for column in table.columns}
    known |= {column.source_name: column.name for column in table.columns}
    _require_read(wishes, table.unread)
    target_name = _resolved("--target", wishes.target, known)
    options = KeyOptions(
        tuple(_resolved("--key", key, known) for key in wishes.key),
        None if wishes.time is None else _resolved("--time", wishes.time, known),
        None if wishes.group is None else _resolved("--group", wishes.group, known),
    )
    chosen = {_resolved("--exclude", column, known): False for column in wishes.exclude}
    chosen |= {_resolved("--keep", column, known): True for column in wishes.keep}
    _require_one_role_each(target_name, options, chosen)
    table = with_missing_values(table, [_missing_value(each, known) for each in wishes.missing])
    columns = profiles(table)
    target = target_of(_named(columns, target_name), wishes.task)
    if target.profile.filled < LEAST_ROWS:
        raise InitRefused.file(
            table.source,
            f"has {number_of('row', target.profile.filled)} with a value in {target.name}",
            f"Folds and a holdout need at least {LEAST_ROWS}.",
        )
    identity = find_identity(table.connection, columns, target_name, options)
    roles = find_roles(table.connection, columns, target, identity, chosen)
    width = sum(role.width for role in roles if role.is_feature)
    sample = row_sample(target.profile.filled, width, wishes.rows)
    proposal = Proposal(name, table, target, identity, tuple(roles), sample)
    if not proposal.features:
        reasons = "; ".join(f"{role.name}: {role.why}" for role in roles if role.role == "out")
        raise InitRefused.file(
            table.source,
            f"has no column to learn from: {reasons}",
            "Keep one of them: --keep COLUMN, or leave --exclude away.",
        )
    return proposal


def _require_read(wishes: Wishes, unread: Mapping[str, str]) -> None:
    """Check that no option names a column that is not read.

    Raises:
        InitRefused: one does.
    """
    one_column = {"--target": wishes.target, "--time": wishes.time, "--group": wishes.group}
    lists = {"--key": wishes.key, "--exclude": wishes.exclude, "--keep": wishes.keep}
    for option, names in [*((option, (name,)) for option, name in one_column.items()), *lists.items()]:
        for name in names:
            if name is not None and name in unread:
                raise InitRefused.unread(option, name, unread[name])


def _missing_value(wish: str, known: Mapping[str, str]) -> tuple[str, str]:
    """Column and value of `--missing COLUMN=VALUE`.

    Raises:
        InitRefused: there is no value, or no such column.
    """
    column, sign, value = wish.partition("=")
    if not sign or not value.strip():
        raise InitRefused.file(f"--missing {wish}", "has no value", "Write it as --missing COLUMN=VALUE.")
    return _resolved("--missing", column.strip(), known), value.strip()


def _resolved(option: str, name: str, known: Mapping[str, str]) -> str:
    if name == NO_COLUMN and option in {"--key", "--time", "--group"}:
        return name
    if name not in known:
        in_file = [*{column: given for given, column in known.items()}.values()]
        raise InitRefused.no_column(option, name, [*known], in_file)
    return known[name]


def _require_one_role_each(target: str, options: KeyOptions, chosen: Mapping[str, bool]) -> None:
    """Check that no two options give one column different roles.

    Raises:
        InitRefused: they do. A key and time of its own, or a group that is the key, would not be used.
    """
    named = [("--target", target), *(("--key", key) for key in options.key)]
    named += [(option, name) for option, name in (("--time", options.time), ("--group", options.group)) if name]
    named += [("--keep" if keep else "--exclude", name) for name, keep in chosen.items()]
    given: dict[str, str] = {}
    for option, name in named:
        if name == NO_COLUMN:
            continue
        if name in given:
            raise InitRefused.two_roles(name, given[name], option)
        given[name] = option


def _named(columns: list[ColumnProfile], name: str) -> ColumnProfile:
    return next(column for column in columns if column.name == name)
