"""dbt unit tests of a proposal: a row of the source, and a row without values, as each model must have them.

A test is named after its model: dbt keeps its result in a table of the test's name, and runs several tests at once.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from math import isnan
from typing import Any

from lakehouse.tables.scan import quoted
from scoring.encodings import ENCODINGS
from training.init.proposing.proposal import Proposal
from training.init.proposing.roles import ColumnRole
from training.init.proposing.target import as_text
from training.init.writing.gold import encodings, raw_input
from training.init.writing.literals import wrapped, yaml_value
from training.init.writing.names import Names

_MOMENT = "2024-05-01 00:00:00"
_ODD = set("'\"\\{}%#\n\r\t")  # in SQL, Jinja or YAML; the models take such texts, the test need not

_Row = Mapping[str, Any]


def staging_tests(proposal: Proposal) -> str:
    """Unit test of the staging model of a text file; empty for a source with types."""
    if not proposal.table.is_delimited:
        return ""
    names, row = Names.of(proposal), _example(proposal)
    given = {"row_number": 1} | {role.name: _landed(role, row[role.name]) for role in _staged(proposal, row)}
    empty = {"row_number": 2} | dict.fromkeys(list(given)[1:], "")
    expected = {_staged_name(role): _typed(role, row[_staged_name(role)]) for role in _staged(proposal, row)}
    absent = {
        role.name: str(role.profile.column.missing_values[0])
        for role in _staged(proposal, row)
        if role.profile.column.missing_values and role.role != "days"
    }
    rows_of_key = [{}, {}, {}] if proposal.identity.key else [{names.key[0]: number} for number in (1, 2, 3)]
    given_rows = [given, empty, *([{**empty, **absent, "row_number": 3}] if absent else [])]
    nothing = dict.fromkeys(expected)
    expected_rows = [{**key, **each} for key, each in zip(rows_of_key, [expected, nothing, nothing], strict=True)]
    return _test(
        f"{names.staging}_types_texts",
        "A text gets its type, and an empty one becomes NULL.",
        names.staging,
        {names.raw: given_rows},
        expected_rows[: len(given_rows)],
    )


def features_tests(proposal: Proposal) -> str:
    """Unit test of the feature table: rows are encoded as requests are."""
    names, row = Names.of(proposal), _example(proposal)
    filled = {raw_input(role): _example_value(role, row) for role in proposal.features}
    if any(_is_odd(value) for value in filled.values()):
        return ""
    missing = {
        raw_input(role): None if role.profile.missing else filled[raw_input(role)] for role in proposal.features
    }
    keys = [_key(proposal, names, number) for number in (1, 2)]
    given = {names.staging: [{**key, **each} for key, each in zip(keys, (filled, missing), strict=True)]}
    vocabularies: dict[str, list[str]] = {}
    for role in proposal.features:
        if role.role == "category_index":
            index, value = names.index(role.name), filled[role.name]
            given[index] = [{role.name: value, f"{role.name}_index": 1}]
            vocabularies[f"gold.{index}"] = ["", str(value)]  # 0 is unknown
    expected: list[dict[str, Any]] = [dict(key) for key in keys]
    for encoding in ENCODINGS.validate_python(encodings(proposal)):
        values = [each[encoding.column] for each in (filled, missing)]
        for feature, encoded in encoding.encode(values, vocabularies).items():
            for position in (0, 1):
                expected[position][feature] = _number(encoded[position])
    return _test(
        f"{names.features}_encode_a_row_as_a_request",
        "The features of a row of the source, and of one without the values that may be missing.",
        names.features,
        given,
        expected,
    )


def labels_tests(proposal: Proposal) -> str:
    """Unit test of a binary label; empty for other tasks, whose label is the column itself."""
    names, target = Names.of(proposal), proposal.target
    if (
        target.positive is None
        or proposal.sample.every > 1
        or any(_is_odd(value) for value, _ in target.profile.values)
    ):
        return ""
    keys = [_key(proposal, names, number) for number in (1, 2)]
    other = next(value for value, _ in target.profile.values if value != target.positive)
    given = [{**key, target.name: value} for key, value in zip(keys, (target.positive, other), strict=True)]
    expected = [{**key, target.name: label} for key, label in zip(keys, (1, 0), strict=True)]
    return _test(
        f"{names.labels}_mark_the_positive_value",
        f"{target.positive_word} is label 1, and {as_text(other)} is label 0.",
        names.labels,
        {names.staging: given},
        expected,
    )


def _example(proposal: Proposal) -> _Row:
    """The first row of the source in which most columns have a value, by name of the staging column."""
    time = proposal.identity.time
    roles = [role for role in proposal.roles if role.role != "out"]
    terms = {role.name: quoted(role.name) for role in roles}
    for role in roles:
        if role.role == "days":
            terms[raw_input(role)] = (
                f"date_diff('day', cast({quoted(role.name)} as date), cast({quoted(str(time))} as date))"
            )
    filled = " + ".join(f"({quoted(role.name)} is not null)::int" for role in roles)
    row = proposal.table.connection.execute(
        f"select {', '.join(terms.values())} from (from rows order by row_number limit 1000) "
        f"order by {filled} desc, row_number limit 1"
    ).fetchone()
    return dict(zip(terms, row or (), strict=True))


def _staged(proposal: Proposal, row: _Row) -> list[ColumnRole]:
    return [role for role in proposal.roles if role.role != "out" and not _is_odd(row[role.name])]


def _staged_name(role: ColumnRole) -> str:
    return raw_input(role) if role.role == "days" else role.name


def _example_value(role: ColumnRole, row: _Row) -> Any:
    """Value of the row; of a category with signs, another one without."""
    value = row[raw_input(role)]
    if role.as_text and value is not None:
        value = as_text(value)
    if _is_odd(value) and role.profile.values:
        return next((each for each, _ in role.profile.values if not _is_odd(each)), value)
    return value


def _is_odd(value: Any) -> bool:
    return isinstance(value, str) and bool(_ODD & set(value))


def _landed(role: ColumnRole, value: Any) -> str:
    """A value as the landing model has it, between spaces."""
    if value is None:
        return ""
    truth = role.profile.column.truth
    return f" {(truth[0] if value else truth[1]) if truth else value} "


def _typed(role: ColumnRole, value: Any) -> Any:
    if value is None:
        return None
    if role.role == "time":
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if role.as_text:
        return as_text(value)
    return value.isoformat() if isinstance(value, date | datetime) else value


def _key(proposal: Proposal, names: Names, number: int) -> dict[str, Any]:
    kinds = {role.name: role.profile.column.kind for role in proposal.roles}
    key = {column: f"k{number}" if kinds.get(column) == "string" else number for column in names.key}
    return {**key, names.time: _MOMENT}


def _number(value: Any) -> Any:
    """A number of the encoder as YAML has it: a whole one without a point, and null for a missing one."""
    if isnan(value):
        return None
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)


def _test(name: str, about: str, model: str, given: Mapping[str, Sequence[_Row]], expected: Sequence[_Row]) -> str:
    inputs = "\n".join(
        f"      - input: ref('{relation}')\n        rows:\n{_rows(rows, 10)}" for relation, rows in given.items()
    )
    return f"""
unit_tests:
  - name: {name}
    description: {yaml_value(about)}
    model: {model}
    given:
{inputs}
    expect:
      rows:
{_rows(expected, 8)}
"""


def _rows(rows: Sequence[_Row], indent: int) -> str:
    return "\n".join(f"{' ' * indent}- {_row(row, indent + 2)}" for row in rows)


def _row(row: _Row, indent: int) -> str:
    items = [f"{yaml_value(name)}: {yaml_value(value)}" for name, value in row.items()]
    return "{" + wrapped(items, indent)[1:-1] + "}"
