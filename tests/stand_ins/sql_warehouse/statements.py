"""SQL statements as a SQL warehouse receives them: kinds, the object of a statement, and references in its text."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|--[^\n]*)
      | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<name>`(?:[^`]|``)+`|[A-Za-z_]\w*)
      | (?P<space>\s+)
      | (?P<other>=>|\d[\w.]*|.)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


class Refused(Exception):
    """The warehouse does not accept a statement; `code` is Databricks' error condition."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"[{code}] {message}")


@dataclass(frozen=True)
class Token:
    kind: str
    text: str

    @property
    def word(self) -> str:
        return self.text.upper() if self.kind == "name" else self.text


def tokens(sql: str) -> list[Token]:
    """Tokens of a statement, without comments."""
    found = [Token(str(match.lastgroup), match.group()) for match in _TOKEN.finditer(sql)]
    return [token for token in found if token.kind != "comment"]


def bare(sql: str) -> str:
    """Statement without comments, blanks around it, and a final semicolon."""
    return "".join(token.text for token in tokens(sql)).strip().rstrip(";").rstrip()


def words(sql: str, count: int) -> list[str]:
    """First words of a statement, in upper case."""
    significant = (token.word for token in tokens(sql) if token.kind != "space")
    return [word for word, _ in zip(significant, range(count), strict=False)]


def name(token: str) -> str:
    """Name without quotes."""
    return token[1:-1].replace("``", "`") if token.startswith("`") else token


def quoted(value: str) -> str:
    """Name in quotes."""
    return "`" + value.replace("`", "``") + "`"


def text(literal: str) -> str:
    """Value of a literal."""
    return re.sub(
        r"\\(u[0-9a-fA-F]{4}|.)",
        lambda match: chr(int(match[1][1:], 16)) if len(match[1]) == 5 else _ESCAPES.get(match[1], match[1]),
        literal[1:-1],
        flags=re.DOTALL,
    )


def literal(value: str | None) -> str:
    """SQL literal of a text."""
    if value is None:
        return "CAST(NULL AS STRING)"
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\u0024{") + "'"


def replaced_names(sql: str, replacement: Callable[[tuple[str, ...]], str | None]) -> str:
    """Statement with dotted names replaced; a name stays where `replacement` returns none."""
    return "".join(_replaced(tokens(sql), replacement))


def _replaced(found: list[Token], replacement: Callable[[tuple[str, ...]], str | None]) -> Iterator[str]:
    position = 0
    while position < len(found):
        end = position + 1
        if found[position].kind == "name":
            while end + 1 < len(found) and found[end].text == "." and found[end + 1].kind == "name":
                end += 2
        parts = found[position:end]
        new = replacement(tuple(name(part.text) for part in parts[::2])) if parts[0].kind == "name" else None
        yield new if new is not None else "".join(part.text for part in parts)
        position = end


def calls(sql: str, function: str) -> Iterator[tuple[str, list[list[Token]]]]:
    """Yield the text of each call of a function and its arguments as tokens without blanks."""
    found = tokens(sql)
    for start, token in enumerate(found):
        if token.word != function.upper() or "".join(each.text for each in found[start + 1 : start + 2]) != "(":
            continue
        depth, arguments = 0, list[list[Token]]([[]])
        for end, each in enumerate(found[start + 1 :], start + 1):
            depth += (each.text == "(") - (each.text == ")")
            if depth == 0:
                yield "".join(each.text for each in found[start : end + 1]), [each for each in arguments if each]
                break
            if depth == 1 and each.text == ",":
                arguments.append([])
            elif each.kind != "space" and not (depth == 1 and each.text == "("):
                arguments[-1].append(each)
