"""The role of each column: key, time, target, a kind of feature, or left out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Literal

import duckdb

from lakehouse.tables.scan import quoted
from lakehouse.wording import number_of
from scoring.encodings.categories import slug
from training.init.proposing.keys import RowIdentity
from training.init.proposing.leaks import find_leaks, named_like_an_outcome
from training.init.proposing.profile import ColumnProfile
from training.init.proposing.target import Target

Role = Literal["key", "time", "group", "target", "number", "flag", "one_hot", "category_index", "days", "out"]
FEATURES: tuple[Role, ...] = ("number", "flag", "one_hot", "category_index", "days")
NUMBERS: tuple[Role, ...] = ("number", "days")
MOST_ONE_HOT = 30
_CODE = re.compile(r"(^|_)(plz|zip|zipcode|postal\w*|postleitzahl|code|vorwahl)($|_)|_code$")
_AGE = re.compile(
    r"((customer|client|patient|person|member|user|applicant|kunden?|patienten|lebens)_?)?(age|alter)"
    r"(_(in_)?(years|yrs|jahren?))?"
)
AGE_BOUNDS = (18, 50, 65)  # of persons: 18 to 49 is the shipped target group
_MOST_COMPARED = 60  # numbers compared in pairs


@dataclass(frozen=True)
class ColumnRole:
    """The proposed role of a column.

    Attributes:
        profile: profile of the column.
        role: key, time, group, target, kind of feature, or out.
        why: reason.
        change: how to choose otherwise.
        as_text: True if a column of integers is taken as codes.
        bounds: bounds of the cohorts that a person's age has beside the number; empty for any other column.
    """

    profile: ColumnProfile
    role: Role
    why: str
    change: str
    as_text: bool = False
    bounds: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Name of the column."""
        return self.profile.name

    @property
    def is_feature(self) -> bool:
        """True if the model reads the column."""
        return self.role in FEATURES

    @property
    def lacks_numbers(self) -> bool:
        """True for a number that some rows lack."""
        return self.role in NUMBERS and self.profile.missing > 0

    @property
    def width(self) -> int:
        """Columns of the matrix that a feature takes."""
        if self.role == "one_hot":
            return len(self.profile.values)
        return 1 + bool(self.bounds)


def find_roles(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[ColumnProfile],
    target: Target,
    identity: RowIdentity,
    chosen: Mapping[str, bool],
) -> list[ColumnRole]:
    """Propose a role for each column, in the order of the file.

    Args:
        connection: DuckDB with the table `rows`.
        columns: profiles of all columns.
        target: the target.
        identity: key, time and group.
        chosen: columns that the person excludes (False) or keeps in spite of a reason against them (True).
    """
    roles = {column.name: _given_role(column, target, identity) or _feature(column, identity) for column in columns}
    for name, why in _duplicates(connection, [role for role in roles.values() if role.is_feature]).items():
        roles[name] = _out(roles[name].profile, why)
    measured = [role.profile for role in roles.values() if role.is_feature or role.profile.is_time]
    inputs = [profile for profile in measured if profile.name not in {target.name, identity.time}]
    for name, why in find_leaks(connection, inputs, target, identity.time).items():
        roles[name] = _out(roles[name].profile, f"leak: {why}")
    for name, keep in chosen.items():
        if not keep and roles[name].is_feature:
            roles[name] = ColumnRole(roles[name].profile, "out", "--exclude", "leave --exclude away")
        elif keep and roles[name].role == "out":
            kept = _feature(roles[name].profile, identity, is_kept=True)
            roles[name] = replace(kept, why=f"{kept.why}; --keep, though {roles[name].why}")
    return list(roles.values())


def _given_role(column: ColumnProfile, target: Target, identity: RowIdentity) -> ColumnRole | None:
    if column.name == target.name:
        left_out = "is" if column.missing == 1 else "are"
        missing = f"; {number_of('row', column.missing)} without it {left_out} left out" if column.missing else ""
        if words := column.column.missing_words:
            missing += f", with {' or '.join(words)} as missing (as classes: --words {column.name})"
        return ColumnRole(column, "target", f"{target.task}: {target.why}{missing}", target.change or "--task")
    if column.name in identity.key:
        return ColumnRole(column, "key", identity.why[column.name], "--key COLUMN, or --key none for the row number")
    if column.name == identity.time:
        return ColumnRole(column, "time", identity.why[column.name], "--time COLUMN, or --time none")
    if column.name == identity.group:
        return ColumnRole(column, "group", identity.why[column.name], "--group COLUMN, or --group none")
    return None


def _feature(  # noqa: PLR0911  (one for each kind of column)
    column: ColumnProfile, identity: RowIdentity, *, is_kept: bool = False
) -> ColumnRole:
    missing = column.missing / max(column.rows, 1)
    if column.filled == 0:
        return _out(column, "no row has a value")
    if column.distinct == 1 and not column.missing:
        return _out(column, "one value in every row")
    if missing > 0.99 and not is_kept:
        return _out(column, f"missing in {missing:.1%} of the rows")
    if column.is_time:
        return _days(column, identity)
    if column.column.note.startswith("dates") and not is_kept:
        return _out(column, "dates that were not read")
    if column.column.kind == "boolean":
        return _boolean(column)
    if column.is_number and not (column.column.kind == "bigint" and _CODE.search(column.name)):
        return _number(column, is_kept=is_kept)
    return _category(column, is_kept=is_kept)


def _number(column: ColumnProfile, *, is_kept: bool) -> ColumnRole:
    is_unique = column.column.kind == "bigint" and column.is_unique and not is_kept
    if is_unique and (column.counts_rows or column.name.endswith("id")):
        return _out(column, "an identifier: counts the rows")
    if max(abs(float(column.minimum)), abs(float(column.maximum))) > 1e15:
        return _out(column, "numbers beyond 1e15, of which doubles skip some")
    why = f"{column.minimum:g} to {column.maximum:g}"
    bounds = AGE_BOUNDS if _is_age(column) else ()
    if bounds:
        why += f"; an age: a second column has its cohort ({_cohorts(bounds)})"
    if not column.missing:
        change = "`encodings` of the feature table" if bounds else f"--exclude {column.name}"
        return ColumnRole(column, "number", why, change, bounds=bounds)
    return ColumnRole(column, "number", f"{why}; {_kept(column)}", "`impute` in the feature table", bounds=bounds)


def _is_age(column: ColumnProfile) -> bool:
    """True for an age of persons, not of houses: by its name, and by its range."""
    return bool(_AGE.fullmatch(column.name)) and column.minimum >= 0 and 18 <= column.maximum <= 120


def _cohorts(bounds: Sequence[int]) -> str:
    between = [f"{low} to {high - 1}" for low, high in pairwise(bounds)]
    return ", ".join([f"below {bounds[0]}", *between, f"from {bounds[-1]}"])


def _boolean(column: ColumnProfile) -> ColumnRole:
    if column.missing:
        why = f"two values; {column.missing / column.rows:.1%} missing are 0 in both columns"
        return ColumnRole(column, "one_hot", why, "`encodings` of the feature table", as_text=True)
    if len(column.values) < 2:
        return _out(column, "one value in every row")
    return ColumnRole(column, "flag", "two values", f"--exclude {column.name}")


def _category(column: ColumnProfile, *, is_kept: bool) -> ColumnRole:
    as_text = column.is_number
    if column.is_unique and not is_kept:
        return _out(column, "a value of its own in every row, like an identifier")
    if not is_kept and column.distinct > MOST_ONE_HOT and column.length > 40:
        return _out(column, f"free text, {column.length:.0f} characters on average; to read it: docs/text.md")
    if not is_kept and column.distinct > max(MOST_ONE_HOT, 0.5 * column.filled):
        return _out(column, f"{column.distinct:,} values in {column.filled:,} rows, like an identifier")
    if column.distinct > MOST_ONE_HOT:
        unknown = "; missing is 0" if column.missing else ""
        why = f"{column.distinct:,} categories, more than {MOST_ONE_HOT}: one integer each{unknown}"
        return ColumnRole(column, "category_index", why, f"--exclude {column.name}", as_text=as_text)
    slugs = [slug(str(value)) for value, _ in column.values]
    if len(set(slugs)) < len(slugs) or "" in slugs:
        why = f"{column.distinct} categories, some of which differ in signs alone: one integer each"
        return ColumnRole(column, "category_index", why, f"--exclude {column.name}", as_text=as_text)
    unknown = f"; {column.missing / column.rows:.1%} missing are 0 in all" if column.missing else ""
    why = f"{column.distinct} categories{unknown}"
    return ColumnRole(column, "one_hot", why, "`encodings` of the feature table", as_text=as_text)


def _days(column: ColumnProfile, identity: RowIdentity) -> ColumnRole:
    if identity.time is None:
        return _out(column, "a date, and rows have no time to count the days to", f"--time {column.name}")
    why = f"days from it to {identity.time}"
    if not column.missing:
        return ColumnRole(column, "days", why, f"--exclude {column.name}")
    return ColumnRole(column, "days", f"{why}; {_kept(column)}", "`impute` in the feature table")


def _kept(column: ColumnProfile) -> str:
    return f"{column.missing / column.rows:.1%} missing stay NULL (`missing: keep`)"


def _out(column: ColumnProfile, why: str, change: str = "") -> ColumnRole:
    note = f" ({column.column.note})" if column.column.note else ""
    return ColumnRole(column, "out", why + note, change or f"--keep {column.name}")


def _duplicates(connection: duckdb.DuckDBPyConnection, roles: Sequence[ColumnRole]) -> dict[str, str]:
    """Columns that repeat an earlier one: equal in every row, or numbers in proportion to it."""
    reasons: dict[str, str] = {}
    for first, second in combinations(roles, 2):
        if first.name in reasons or second.name in reasons or _may_not_be_equal(first.profile, second.profile):
            continue
        one, other = quoted(first.name), quoted(second.name)
        if not _any(connection, f"select 1 from rows where {one} is distinct from {other} limit 1"):
            reasons[second.name] = f"equals {first.name} in every row"
    numbers = [role.name for role in roles if role.role == "number" and role.name not in reasons][:_MOST_COMPARED]
    pairs = list(combinations(numbers, 2))
    if pairs:
        terms = ", ".join(f"corr({quoted(one)}, {quoted(other)})" for one, other in pairs)
        row = connection.execute(f"select {terms} from rows").fetchone() or ()
        for (one, other), correlation in zip(pairs, row, strict=True):
            if correlation is not None and abs(correlation) > 0.99999 and one not in reasons:
                reasons[other] = f"in proportion to {one}"
    return reasons


def _may_not_be_equal(one: ColumnProfile, other: ColumnProfile) -> bool:
    same = (one.column.kind, one.filled, one.distinct) == (other.column.kind, other.filled, other.distinct)
    return not same or (one.minimum, one.maximum) != (other.minimum, other.maximum)


def _any(connection: duckdb.DuckDBPyConnection, query: str) -> bool:
    return connection.execute(query).fetchone() is not None


def outcome_notes(roles: Sequence[ColumnRole]) -> list[str]:
    """Features whose names suggest that they are known only after the label."""
    return [
        f"{role.name} may be known only after the label: if so, --exclude {role.name}"
        for role in roles
        if role.is_feature and named_like_an_outcome(role.name)
    ]
