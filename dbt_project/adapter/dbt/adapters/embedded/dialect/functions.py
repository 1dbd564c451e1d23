"""Function calls and literals that Sail reads differently from Spark: written otherwise, or refused.

Each rewrite says the same in Spark SQL. Each refusal names a way to write it.
"""

from collections.abc import Callable, Mapping, Sequence

from dbt.adapters.embedded.dialect.lexer import Edits, Token, closing, parts

from lakehouse.errors import LakehouseError

MONDAY_FIRST = {"dow_iso", "dayofweek_iso"}
SUNDAY_FIRST = {"dow", "dayofweek"}
MONTHS = {"month", "months", "quarter", "quarters", "year", "years"}
REFUSED: Mapping[str, tuple[str, str]] = {
    "initcap": (
        "it also capitalises letters behind an apostrophe, a dash or a point",
        "Write array_join(transform(split(lower(x), ' '), w -> concat(upper(left(w, 1)), substr(w, 2))), ' ').",
    ),
    "bround": ("it rounds halves of decimals up", "Use round."),
    "rint": ("it rounds halves away from zero", "Use round."),
    "conv": ("a negative number keeps its sign", "Use hex or bin."),
    "sentences": ("it splits words at apostrophes and dashes", "Use split with a regular expression."),
}


class WrongHere(LakehouseError):
    """SQL that the embedded engine would run with another result than Spark."""

    @classmethod
    def of(cls, shape: str, reason: str, hint: str) -> "WrongHere":
        return cls(f"the embedded engine answers `{shape}` differently from Spark: {reason}", hint=hint)


def rewrite(sql: str, found: Sequence[Token]) -> str:
    """The text with calls and literals that both engines read alike.

    Raises:
        WrongHere: a function gives other results on this engine, and has no equivalent.
    """
    edits = Edits(found)
    for index, token in enumerate(found):
        if token.kind == "text" and _doubled(token.text):
            edits.instead[index] = token.text[0] + _doubled(token.text) + token.text[0]
        elif token.kind == "word" and _is_call(found, index):
            if token.word in REFUSED:
                raise WrongHere.of(f"{token.text}(...)", *REFUSED[token.word])
            if change := _REWRITES.get(token.word):
                end = closing(found, index + 1)
                change(edits, index, list(parts(found, index + 2, end, found[end].depth)))
    return edits.applied(sql)


def _is_call(found: Sequence[Token], index: int) -> bool:
    named = index and found[index - 1].word in {".", "function"}
    return not named and index + 1 < len(found) and found[index + 1].word == "("


def _doubled(text: str) -> str:
    """Content of a literal with its doubled quotes escaped; empty without doubled quotes.

    Spark reads `'a''b'` as one literal with an apostrophe, Sail as two literals: ab.
    """
    quote, content, escaped, position = text[0], text[1:-1], [], 0
    while position < len(content):
        step = 2 if content[position] in {"\\", quote} else 1
        piece = content[position : position + step]
        escaped.append(f"\\{quote}" if piece == quote * 2 else piece)
        position += step
    changed = "".join(escaped)
    return changed if changed != content else ""


Arguments = Sequence[tuple[int, int]]


def _weekday(edits: Edits, index: int, arguments: Arguments) -> None:
    # Sail answers -1 for a Sunday.
    if len(arguments) == 1:
        edits.instead[index] = "pmod(dayofweek"
        edits.follow(arguments[0][1], " + 5, 7)")


def _as_timestamp(edits: Edits, index: int, arguments: Arguments) -> None:
    # Of a number, Sail reads microseconds in to_timestamp, and cuts fractions off in timestamp_seconds. Without a
    # format, Spark computes both like this cast.
    if len(arguments) == 1:
        edits.instead[index] = "cast"
        edits.wrap(*arguments[0], "", " as timestamp")


def _date_trunc(edits: Edits, index: int, arguments: Arguments) -> None:
    # Of a date, Sail makes a timestamp without time zone.
    if len(arguments) == 2:
        edits.wrap(*arguments[1], "cast(", " as timestamp)")


def _extract(edits: Edits, index: int, arguments: Arguments) -> None:
    found = edits.found
    if len(arguments) == 1 and found[arguments[0][0] + 1].word == "from":
        _part(edits, index, found[arguments[0][0]].text, arguments[0][0] + 1, arguments[0][1])


def _date_part(edits: Edits, index: int, arguments: Arguments) -> None:
    found = edits.found
    if len(arguments) == 2 and found[arguments[0][0]].kind == "text":
        _part(edits, index, found[arguments[0][0]].text[1:-1], arguments[0][1], arguments[1][1])


def _part(edits: Edits, index: int, field: str, separator: int, end: int) -> None:
    # Sail counts days of the week from 0, Spark from 1.
    if field.lower() not in SUNDAY_FIRST | MONDAY_FIRST:
        return
    iso = field.lower() in MONDAY_FIRST
    edits.instead |= {index: "(pmod(dayofweek" if iso else "dayofweek", separator - 1: "", separator: ""}
    if iso:
        edits.follow(end, " + 5, 7) + 1)")


def _timestampdiff(edits: Edits, index: int, arguments: Arguments) -> None:
    unit = edits.found[arguments[0][0]].word if arguments else ""
    if unit in MONTHS:
        reason = f"it counts one {unit} more between some ends of months"
        raise WrongHere.of(f"timestampdiff({unit}, ...)", reason, "Use months_between.")


_REWRITES: Mapping[str, Callable[[Edits, int, Arguments], None]] = {
    "weekday": _weekday,
    "to_timestamp": _as_timestamp,
    "timestamp_seconds": _as_timestamp,
    "date_trunc": _date_trunc,
    "extract": _extract,
    "date_part": _date_part,
    "datepart": _date_part,
    "timestampdiff": _timestampdiff,
}
