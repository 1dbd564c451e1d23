"""Tokens of a SQL text, with their positions, and edits of single tokens."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*)
    |(?P<raw>[rR](?:'[^']*'|"[^"]*"))
    |(?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
    |(?P<name>`(?:[^`]|``)*`)
    |(?P<word>[^\W\d]\w*)
    |(?P<number>\d[\w.]*)
    |(?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"/\*|\*/")
_QUOTES = "'\"`"


class Unreadable(ValueError):
    """Text with a quote, comment or parenthesis that does not end."""


@dataclass(frozen=True)
class Token:
    """Word, name, literal or sign of a text.

    Attributes:
        kind: `raw`, `text`, `name`, `word`, `number` or `sign`.
        text: as written.
        word: the text in lower case if it is an unquoted word or a sign, otherwise empty.
        start: position in the text.
        depth: number of open parentheses; both parentheses of a pair have the depth of their content.
    """

    kind: str
    text: str
    word: str
    start: int
    depth: int

    @property
    def end(self) -> int:
        """Position after the token."""
        return self.start + len(self.text)


def tokens(sql: str) -> list[Token]:
    """Tokens without blanks and comments.

    Raises:
        Unreadable: a quote, comment or parenthesis does not end.
    """
    found, depth, position = [], 0, 0
    while match := _TOKEN.match(sql, position):
        kind, text, position = str(match.lastgroup), match[0], match.end()
        if text == "/*":
            position = _comment_end(sql, position)
        if kind == "space":
            continue
        if kind == "sign" and text in _QUOTES:
            raise Unreadable(f"the quote at {match.start()} does not end")
        depth += text == "(" and kind == "sign"
        found.append(Token(kind, text, text.lower() if kind in {"word", "sign"} else "", match.start(), depth))
        depth -= text == ")" and kind == "sign"
        if depth < 0:
            raise Unreadable(f"the parenthesis at {match.start()} was not opened")
    if depth:
        raise Unreadable("a parenthesis does not end")
    return found


def closing(found: Sequence[Token], opening: int) -> int:
    """Index of the parenthesis that closes the one at index `opening`."""
    depth = found[opening].depth
    return next(i for i in range(opening + 1, len(found)) if found[i].word == ")" and found[i].depth == depth)


def parts(found: Sequence[Token], start: int, end: int, depth: int) -> Iterator[tuple[int, int]]:
    """Index ranges between the commas of this depth; nothing for an empty range."""
    if start >= end:
        return
    first = start
    for index in range(start, end):
        # Both parentheses of a pair count as inside of it, so a comma of this depth is outside of all.
        if found[index].word == "," and found[index].depth == depth:
            yield first, index
            first = index + 1
    yield first, end


@dataclass
class Edits:
    """Changes of single tokens. Because none contains another one, they also apply to nested expressions."""

    found: Sequence[Token]
    before: dict[int, str] = field(default_factory=dict)
    instead: dict[int, str] = field(default_factory=dict)
    after: dict[int, str] = field(default_factory=dict)

    def wrap(self, start: int, end: int, head: str, tail: str) -> None:
        """Put text around the tokens from index `start` to before `end`."""
        self.before[start] = self.before.get(start, "") + head
        self.follow(end - 1, tail)

    def follow(self, index: int, text: str) -> None:
        """Put text behind a token and before what enclosing expressions put there."""
        self.after[index] = text + self.after.get(index, "")

    def applied(self, sql: str) -> str:
        """Edited text."""
        text, position = [], 0
        for index in sorted({*self.before, *self.instead, *self.after}):
            token = self.found[index]
            text += [sql[position : token.start], self.before.get(index, ""), self.instead.get(index, token.text)]
            text += [self.after.get(index, "")]
            position = token.end
        return "".join([*text, sql[position:]])


def _comment_end(sql: str, position: int) -> int:
    depth = 1
    while depth:
        mark = _COMMENT.search(sql, position)
        if mark is None:
            raise Unreadable("a comment does not end")
        depth, position = depth + (1 if mark[0] == "/*" else -1), mark.end()
    return position
