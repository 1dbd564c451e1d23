"""Query shapes that Sail lacks or answers differently: rewritten, or refused."""

from collections.abc import Callable, Iterator, Sequence

from dbt.adapters.embedded.dialect.blocks import Block, blocks, definitions
from dbt.adapters.embedded.dialect.functions import WrongHere
from dbt.adapters.embedded.dialect.lexer import Edits, Token, closing, parts, tokens
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

from lakehouse.errors import LakehouseError

Query = Callable[[str], DataFrame]
# fmt: off
AGGREGATES = frozenset({
    "any", "any_value", "approx_count_distinct", "approx_percentile", "array_agg", "avg", "bool_and", "bool_or",
    "collect_list", "collect_set", "corr", "count", "count_if", "covar_pop", "covar_samp", "every", "first",
    "kurtosis", "last", "listagg", "max", "max_by", "mean", "median", "min", "min_by", "mode", "percentile",
    "percentile_approx", "percentile_cont", "percentile_disc", "skewness", "some", "std", "stddev",
    "stddev_pop", "stddev_samp", "string_agg", "sum", "var_pop", "var_samp", "variance",
})
# fmt: on
_OPEN_BOUNDS = {"between", "and", "unbounded", "current", "row", "preceding", "following"}
_ROUNDS = 1000  # blocks of one statement that are rewritten


class NotHere(LakehouseError):
    """SQL that the embedded engine does not have, in a form that the adapter cannot rewrite."""

    @classmethod
    def of(cls, shape: str, reason: str, hint: str) -> "NotHere":
        return cls(
            f"the embedded engine has no {shape}, and the adapter cannot rewrite this one: {reason}", hint=hint
        )


def reshape(sql: str, query: Query) -> str:
    """The statement without QUALIFY, GROUP BY ALL and ORDER BY of aggregates that are not selected.

    Args:
        query: makes a DataFrame of a query; its columns are needed for `select *`.

    Raises:
        NotHere: such a clause is in a form that has no equivalent here.
        WrongHere: a shape would run with another result than on Spark.
    """
    for _ in range(_ROUNDS):
        found = tokens(sql)
        for block in blocks(found):
            _require_all_columns(block)
            changed = _grouped_by_all(sql, block) or _qualified(sql, block, query) or _ordered(sql, block, query)
            if changed:
                sql = sql[: found[block.start].start] + changed + sql[found[block.end - 1].end :]
                break
        else:
            return _framed(sql, found, query)
    raise NotHere.of("QUALIFY", f"more than {_ROUNDS} query blocks", "Split the model.")


def _require_all_columns(block: Block) -> None:
    start, end = block.span("from")
    words = [block.found[index].word for index in block.level(start, end)]
    merged = "natural" in words or ("using" in words and "join" in words)
    stars = [
        i for i, end in block.items() if end - i == 3 and [t.word for t in block.found[i + 1 : end]] == [".", "*"]
    ]
    if merged and stars:
        name = block.found[stars[0]].text
        raise WrongHere.of(
            f"{name}.* of a join by NATURAL or USING",
            "it leaves the joined columns out",
            f"Join with ON, or select the columns of {name} by name. For dbt_utils.deduplicate, `dispatch` of "
            "dbt_project.yml needs `dbt` in front of `dbt_utils`.",
        )


def _grouped_by_all(sql: str, block: Block) -> str | None:
    start, end = block.span("group")
    if [token.word for token in block.found[start:end]] != ["all"]:
        return None
    items = block.items()
    if any(block.found[last - 1].word == "*" for _, last in items):
        raise NotHere.of("GROUP BY ALL", "the select list has a star", "Name the columns.")
    keys = [str(place) for place, item in enumerate(items, start=1) if not _aggregates(block, *item)]
    keyword = block.clauses["group"]
    group = f"group by {', '.join(keys)}" if keys else ""
    return " ".join([block.text(sql, block.start, keyword), group, block.text(sql, end, block.end)]).strip()


def _qualified(sql: str, block: Block, query: Query) -> str | None:
    if "qualify" not in block.clauses:
        return None
    condition = block.text(sql, *block.span("qualify"))
    keyword, behind = block.clauses["qualify"], block.span("qualify")[1]
    if "window" in block.clauses:
        raise NotHere.of("QUALIFY", "it is beside a WINDOW clause", "Filter in an outer query instead.")
    plain = block.text(sql, block.start, keyword)
    columns = _listed(_names(sql, block, plain, query, "QUALIFY"))
    rows, where = _with_columns(sql, block, keyword, [f"({condition}) as `__qualifies`"]), "`__qualifies`"
    if not _reads(sql, block, rows, query):
        # A column of the select list, such as the number of a row, is only known outside.
        _require_one_meaning(sql, block, query)
        rows, where = plain, condition
    distinct = "distinct " if block.distinct else ""
    tail = block.text(sql, behind, block.end)
    return f"select {distinct}{columns} from ({rows}) as `__windowed` where {where} {tail}".rstrip()  # noqa: S608


def _require_one_meaning(sql: str, block: Block, query: Query) -> None:
    names = {block.found[end - 1].text for start, end in block.items() if end - start > 1}
    source = block.text(sql, block.clauses.get("from", block.end), block.span("from")[1])
    for token in block.found[slice(*block.span("qualify"))]:
        if token.text in names and _reads(sql, block, f"select {token.text} {source}", query):
            raise NotHere.of("QUALIFY", f"'{token.text}' names two columns", "Give the column another name.")


def _ordered(sql: str, block: Block, query: Query) -> str | None:
    shape = "ORDER BY of an aggregate that is not selected"
    if "order" not in block.clauses or "group" not in block.clauses or block.combined:
        return None
    keys = [_order_key(block, start, end) for start, end in parts(block.found, *block.span("order"), block.depth)]
    selected = {_normal(block.found[start:end]) for item in block.items() for start, end in [_unnamed(block, *item)]}
    if all(not _aggregates(block, *key) or _normal(block.found[slice(*key)]) in selected for key, _ in keys):
        return None
    if block.distinct:
        raise NotHere.of(shape, "it is beside DISTINCT", "Select the aggregate.")
    keyword, behind = block.clauses["order"], block.span("order")[1]
    names = _names(sql, block, block.text(sql, block.start, keyword), query, shape)
    plain = {block.found[start].text.strip("`").lower() for start, end in block.items() if end - start == 1}
    added: list[str] = []
    order: list[str] = []
    for key, end in keys:
        expression, words = block.text(sql, *key), {t.text.strip("`").lower() for t in block.found[slice(*key)]}
        if not (key[1] - key[0] == 1 and (expression.isdigit() or words <= set(names))):
            if renamed := (words & set(names)) - plain:
                raise NotHere.of(shape, f"'{renamed.pop()}' names two columns", "Give the column another name.")
            added.append(f"{expression} as `__order_{len(added)}`")
            expression = f"`__order_{len(added) - 1}`"
        order.append(f"{expression} {block.text(sql, key[1], end)}".strip())
    rows, tail = _with_columns(sql, block, keyword, added), block.text(sql, behind, block.end)
    sorted_by = ", ".join(order)
    return f"select {_listed(names)} from ({rows}) as `__grouped` order by {sorted_by} {tail}".rstrip()  # noqa: S608


def _order_key(block: Block, start: int, end: int) -> tuple[tuple[int, int], int]:
    directions = (i for i in block.level(start, end) if block.found[i].word in {"asc", "desc", "nulls"})
    return (start, next(directions, end)), end


def _framed(sql: str, found: Sequence[Token], query: Query) -> str:
    # Sail ignores the bounds of a RANGE over dates.
    edits = Edits(found)
    for opening, end in _windows(found):
        depth = found[opening].depth
        level = [i for i in range(opening + 1, end) if found[i].depth == depth]
        frame = next((i for i in level if found[i].word == "range"), None)
        order = next((i for i in level if found[i].word == "order"), None)
        if frame is None or order is None:
            continue
        bounds = [found[i] for i in range(frame + 1, end)]
        stop = next(i for i in level if i > order and found[i].word in {"asc", "desc", "nulls", "range"})
        if any(token.word == "interval" for token in bounds):
            edits.wrap(order + 2, stop, "cast(", " as timestamp)")
        elif not {t.word for t in bounds} <= {
            "between",
            "and",
            "unbounded",
            "current",
            "row",
            "preceding",
            "following",
        }:
            _require_number(sql, found, (order + 2, stop), query)
    return edits.applied(sql)


def _require_number(sql: str, found: Sequence[Token], key: tuple[int, int], query: Query) -> None:
    around = [block for block in blocks(found) if block.start < key[0] < block.end and "from" in block.clauses]
    if not around:
        return
    block = min(around, key=lambda block: block.end - block.start)
    expression, source = block.text(sql, *key), block.text(sql, block.clauses["from"], block.span("from")[1])
    rows = query(_with_definitions(sql, block, f"select {expression} as `key` {source}"))
    hint = "Order by a number, such as unix_date(...)."
    try:
        kind = rows.schema["key"].dataType.simpleString()
    except PySparkException as err:
        reason = f"the type of {expression} is unknown ({str(err).splitlines()[0]})"
        raise NotHere.of("RANGE over dates", reason, hint) from err
    if kind.startswith(("date", "timestamp")):
        raise WrongHere.of(f"RANGE by number over a {kind}", "it ignores the bounds", hint)


def _windows(found: Sequence[Token]) -> Iterator[tuple[int, int]]:
    for index, token in enumerate(found[:-1]):
        if found[index + 1].word == "(" and token.word in {"over", "as"}:
            yield index + 1, closing(found, index + 1)


def _names(sql: str, block: Block, plain: str, query: Query, shape: str) -> list[str]:
    try:
        names = [name.lower() for name in query(_with_definitions(sql, block, plain)).columns]
    except PySparkException as err:
        raise NotHere.of(
            shape, f"its columns are unknown ({str(err).splitlines()[0]})", "Use an outer query."
        ) from err
    if len(set(names)) < len(names):
        raise NotHere.of(shape, f"columns have the same name: {', '.join(names)}", "Name each column.")
    return names


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name.replace('`', '``')}`" for name in names)


def _reads(sql: str, block: Block, rows: str, query: Query) -> bool:
    try:
        return bool(query(_with_definitions(sql, block, rows)).columns)
    except PySparkException:
        return False


def _with_definitions(sql: str, block: Block, select: str) -> str:
    visible = definitions(sql, block.found, block)
    return f"with {', '.join(visible.values())} {select}" if visible else select


def _with_columns(sql: str, block: Block, keyword: int, columns: Sequence[str]) -> str:
    start, end = block.span("select")
    first = start + (block.found[start].word in {"distinct", "all"})
    rest = block.text(sql, end, keyword)
    return f"select {block.text(sql, first, end)}, {', '.join(columns)} {rest}"


def _aggregates(block: Block, start: int, end: int) -> bool:
    """True if a part calls an aggregate function other than as a window function or in a subquery."""
    found = block.found
    for index in range(start, end - 1):
        if found[index].word in AGGREGATES and found[index + 1].word == "(" and found[index - 1].word != ".":
            last = closing(found, index + 1)
            inner = any(t.word == "select" and t.depth <= found[index].depth for t in found[start:index])
            behind = [token.word for token in found[last + 1 : last + 3]]
            if behind[:1] == ["filter"]:
                behind = [token.word for token in found[closing(found, last + 2) + 1 :][:1]]
            if not inner and behind[:1] != ["over"]:
                return True
    return False


def _unnamed(block: Block, start: int, end: int) -> tuple[int, int]:
    return (start, end - 2) if end - start > 2 and block.found[end - 2].word == "as" else (start, end)


def _normal(found: Sequence[Token]) -> str:
    return " ".join(token.word or token.text for token in found)
