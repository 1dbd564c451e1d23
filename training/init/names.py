"""Names for columns and use cases that SQL takes without quotes."""

import keyword
import re
from collections.abc import Iterable

from scoring.encodings.categories import slug
from training.init.errors import InitRefused

MOST_CHARACTERS = 60  # of a use case; its models and category indices add theirs

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
_YAML = frozenset(("none", "null", "nil", "true", "false", "yes", "no", "on", "off", "y", "n"))
# Names of dbt's context, and of folders, schemas and files beside those of a use case.
_DBT = frozenset(
    re.findall(
        r"\w+",
        """adapter builtins config context dbt doc env_var exceptions execute exposure exposures flags gold graph
        hooks invocation_id landing load_result log macro macros metric metrics model models modules project_name
        raw ref run_query schema seed seeds selectors snapshot snapshots source sources staging statement target
        template test tests this thread_id unit_tests var""",
    )
)
_DEVICE = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")
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

    >>> use_case_name("Kunden 2024"), use_case_name("2024-sales"), use_case_name("none"), use_case_name("")
    ('kunden_2024', 'data_2024_sales', 'none_data', 'data')
    """
    name = (slug(text) or "data")[:MOST_CHARACTERS].rstrip("_")
    if _owner(name):
        return f"{name}_data"
    return f"data_{name}" if name[0].isdigit() else name


def require_usable(name: str) -> None:
    """Check a name for a use case, its models, its files and its folders.

    Raises:
        InitRefused: it has other characters, is too long, or is a word of SQL, YAML, Python, dbt or Windows.
    """
    if owner := _owner(name.lower()):
        raise InitRefused.reserved_name(name, owner, f"{name.lower()}_data")
    if len(name) > MOST_CHARACTERS:
        raise InitRefused.long_name(name, MOST_CHARACTERS)
    if name != (usable := use_case_name(name)):
        raise InitRefused.name(name, usable)


def _owner(name: str) -> str:
    """Owner of a word that is no name of a use case; empty if it is free.

    >>> _owner("class"), _owner("com1"), _owner("churn")
    ('a word of Python', 'a name that Windows keeps for a device', '')
    """
    if name in _YAML:
        return "a word of YAML, and not a text"
    if name in _DBT:
        return "a word of dbt or of this project"
    if name in _RESERVED:
        return "a word of SQL"
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return "a word of Python"
    return "a name that Windows keeps for a device" if _DEVICE.fullmatch(name) else ""
