"""Names for columns and use cases that SQL takes without quotes."""

import re
from collections.abc import Iterable

from scoring.encodings.categories import slug

# Words with a meaning of their own in SQL of Spark or DuckDB, and columns that the build adds.
_RESERVED = frozenset(
    re.findall(
        r"\w+",
        """all analyze and anti any array as asc at between both by case cast check collate column comment
        constraint create cross cube current current_date current_time current_timestamp current_user
        date default delete desc describe distinct drop else end escape except exists false fetch filter
        for foreign from full function grant group grouping having in index inner insert intersect
        interval into is join lateral leading left like limit map minus natural not null of offset on
        only or order outer overlaps partition primary range references right row row_number rows select
        semi session_user set some start struct table then time timestamp to trailing true union unique
        unknown update user using values when where window with""",
    )
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z][a-z])")


def column_name(header: str) -> str:
    """Name of a column for SQL.

    >>> column_name("Straße (m²)"), column_name("HouseAge"), column_name("2nd"), column_name("default")
    ('strasse_m', 'house_age', 'column_2nd', 'default_value')
    """
    name = slug(_CAMEL.sub("_", header.strip())) or "unnamed"
    if name in _RESERVED:
        return f"{name}_value"
    return f"column_{name}" if name[0].isdigit() else name


def column_names(headers: Iterable[str]) -> list[str]:
    """A name of its own for each column.

    >>> column_names(["Größe", "groesse", ""])
    ['groesse', 'groesse_2', 'unnamed']
    """
    names: list[str] = []
    for header in headers:
        name = plain = column_name(header)
        number = 1
        while name in names:
            number += 1
            name = f"{plain}_{number}"
        names.append(name)
    return names


def use_case_name(text: str) -> str:
    """Name of a use case from that of a file.

    >>> use_case_name("Kunden 2024"), use_case_name("2024-sales")
    ('kunden_2024', 'data_2024_sales')
    """
    name = slug(text) or "data"
    return f"data_{name}" if name[0].isdigit() else name
