"""Query blocks: one SELECT with its clauses, found in the tokens of a statement."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dbt.adapters.embedded.dialect.lexer import Token, closing, parts

SET_OPERATORS = {"union", "except", "intersect", "minus"}
# In the order in which they follow each other.
CLAUSES = ("select", "from", "where", "group", "having", "qualify", "window", "order", "limit", "offset")
_SORTS = {"sort": "order", "cluster": "order", "distribute": "order"}
_PAIRED = {"group", "order", "sort", "cluster", "distribute"}  # followed by `by`


@dataclass(frozen=True)
class Block:
    """SELECT with its clauses.

    Attributes:
        found: tokens of the statement.
        clauses: index of the keyword of each clause, in order.
        end: index after the last token.
        combined: True if it is an operand of UNION, EXCEPT or INTERSECT.
    """

    found: Sequence[Token]
    clauses: Mapping[str, int]
    end: int
    combined: bool

    @property
    def start(self) -> int:
        """Index of the keyword SELECT."""
        return self.clauses["select"]

    @property
    def depth(self) -> int:
        """Number of parentheses around the block."""
        return self.found[self.start].depth

    def span(self, clause: str) -> tuple[int, int]:
        """Index range of the content of a clause, without its keywords; empty if the block lacks it."""
        if clause not in self.clauses:
            return self.end, self.end
        start = self.clauses[clause]
        skipped = 2 if self.found[start].word in _PAIRED else 1
        later = [index for index in self.clauses.values() if index > start]
        return start + skipped, min([*later, self.end])

    @property
    def distinct(self) -> bool:
        """True for SELECT DISTINCT."""
        return self.found[self.start + 1].word == "distinct"

    def items(self) -> list[tuple[int, int]]:
        """Index ranges of the select list."""
        start, end = self.span("select")
        first = start + (self.found[start].word in {"distinct", "all"})
        return list(parts(self.found, first, end, self.depth))

    def level(self, start: int, end: int) -> Iterator[int]:
        """Indexes of the range that are outside of all inner parentheses."""
        return (index for index in range(start, end) if self.found[index].depth == self.depth)

    def text(self, sql: str, start: int, end: int) -> str:
        """Text of an index range."""
        return sql[self.found[start].start : self.found[end - 1].end] if start < end else ""


def blocks(found: Sequence[Token]) -> list[Block]:
    """Blocks of a statement, each after the blocks that it contains and those that it may refer to."""
    starts = [i for i, token in enumerate(found) if token.word == "select" and not _named(found, i)]
    return sorted((_block(found, start) for start in starts), key=lambda block: block.end)


def definitions(sql: str, found: Sequence[Token], block: Block) -> dict[str, str]:
    """Texts of the common table expressions that the block may refer to, by name; inner ones hide outer ones."""
    visible: dict[str, str] = {}
    for index, token in enumerate(found[: block.start]):
        if token.word == "with" and token.depth <= block.depth:
            visible |= _definitions(sql, found, index, block)
    return visible


def _definitions(sql: str, found: Sequence[Token], index: int, block: Block) -> dict[str, str]:
    depth, name = found[index].depth, index + 1
    visible: dict[str, str] = {}
    while name + 1 < len(found):
        opening = name + 1
        if found[opening].word == "(":  # a list of columns
            opening = closing(found, opening) + 1
        if opening + 1 >= len(found) or found[opening].word != "as" or found[opening + 1].word != "(":
            return {}  # another WITH, as in WITH ROLLUP
        last = closing(found, opening + 1)
        if last > block.start:
            break
        visible[found[name].text.lower().strip("`")] = sql[found[name].start : found[last].end]
        if last + 1 >= len(found) or found[last + 1].word != ",":
            break
        name = last + 2
    # The statement or parenthesis of the WITH must contain the block.
    enclosed = all(token.depth >= depth for token in found[index : block.start])
    return visible if enclosed else {}


def _named(found: Sequence[Token], index: int) -> bool:
    return (
        index > 0
        and found[index - 1].word in {".", "as"}
        and found[index].depth == found[index - 1].depth
        and (found[index - 1].word == "." or (index + 1 < len(found) and found[index + 1].word in {",", "from", ")"}))
    )


def _block(found: Sequence[Token], start: int) -> Block:
    depth, clauses, end = found[start].depth, {"select": start}, len(found)
    for index in range(start + 1, len(found)):
        token = found[index]
        if token.depth < depth or token.word == ";" or (token.depth == depth and token.word == ")"):
            end = index
            break
        if token.depth > depth:
            continue
        if token.word in SET_OPERATORS and found[index - 1].word != "*":
            end = index
            break
        clause = _SORTS.get(token.word, token.word)
        if clause in CLAUSES and _opens(found, index) and CLAUSES.index(clause) > CLAUSES.index(list(clauses)[-1]):
            clauses[clause] = index
    before = start - 1
    while before >= 0 and found[before].word in {"all", "distinct"}:
        before -= 1
    operand = before >= 0 and found[before].word in SET_OPERATORS
    operand = operand or (end < len(found) and found[end].word in SET_OPERATORS)
    return Block(found, clauses, end, operand)


def _opens(found: Sequence[Token], index: int) -> bool:
    token, before, following = found[index], found[index - 1], found[index + 1] if index + 1 < len(found) else None
    if before.word == "." or following is None or following.word in {",", ".", "=", ")"}:
        return False
    if token.word in _PAIRED:
        return following.word == "by"
    if token.word == "window":
        return following.kind in {"word", "name"} and index + 2 < len(found) and found[index + 2].word == "as"
    return not (token.word == "from" and before.word == "distinct")  # IS DISTINCT FROM
