"""Views of the `information_schema`, as far as dbt-databricks and the project read them."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.stand_ins.sql_warehouse.statements import literal
from tests.stand_ins.sql_warehouse.tables import CATALOG, Table

COLUMNS = {
    "tables": ["table_catalog", "table_schema", "table_name", "table_type", "table_owner", "comment",
               "data_source_format"],
    "views": ["table_catalog", "table_schema", "table_name", "view_definition"],
    "columns": ["table_catalog", "table_schema", "table_name", "column_name", "ordinal_position", "is_nullable",
                "full_data_type", "comment"],
    "schemata": ["catalog_name", "schema_name", "schema_owner", "comment"],
    "table_tags": ["catalog_name", "schema_name", "table_name", "tag_name", "tag_value"],
    "column_tags": ["catalog_name", "schema_name", "table_name", "column_name", "tag_name", "tag_value"],
    "table_constraints": ["constraint_catalog", "constraint_schema", "constraint_name", "table_catalog",
                          "table_schema", "table_name", "constraint_type", "enforced"],
    "key_column_usage": ["constraint_catalog", "constraint_schema", "constraint_name", "table_catalog",
                         "table_schema", "table_name", "column_name", "ordinal_position"],
    "referential_constraints": ["constraint_catalog", "constraint_schema", "constraint_name",
                                "unique_constraint_catalog", "unique_constraint_schema", "unique_constraint_name"],
    "row_filters": ["table_catalog", "table_schema", "table_name", "filter_name", "target_columns"],
    "column_masks": ["table_catalog", "table_schema", "table_name", "column_name", "mask_name", "using_columns"],
}  # fmt: skip
NUMBERS = {"ordinal_position"}


def rows_of(view: str, table: Table, tags: Mapping[str, str]) -> list[list[Any]]:
    """Rows of a view about one table."""
    place: list[Any] = [CATALOG, table.schema, table.name]
    constraint = [*place[:2], table.key["name"]] if table.key else []
    rows: dict[str, list[list[Any]]] = {
        "tables": [[*place, "VIEW" if table.is_view else "MANAGED", "owner", table.details.get("Comment"),
                    None if table.is_view else "DELTA"]],
        "views": [[*place, table.details.get("View Text")]] if table.is_view else [],
        "columns": [
            [*place, each.name, number, "YES" if table.is_nullable(each.name) else "NO", each.type, each.comment]
            for number, each in enumerate(table.columns, 1)
        ],
        "table_tags": [[*place, *tag] for tag in tags.items()],
        "table_constraints": [[*constraint, *place, "PRIMARY KEY", "NO"]] if table.key else [],
        "key_column_usage": [
            [*constraint, *place, column, number]
            for number, column in enumerate(table.key["columns"] if table.key else [], 1)
        ],
    }  # fmt: skip
    return rows.get(view, [])


def inline(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as a relation in SQL."""
    names = ", ".join(columns)
    if not rows:
        empty = ", ".join(f"CAST(NULL AS {'INT' if each in NUMBERS else 'STRING'}) AS {each}" for each in columns)
        return f"(SELECT {empty} WHERE false)"
    values = [", ".join(str(value) if isinstance(value, int) else literal(value) for value in row) for row in rows]
    return f"(SELECT * FROM VALUES {', '.join(f'({row})' for row in values)} AS rows({names}))"
