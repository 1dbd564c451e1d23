"""Relations: quoted as on Databricks and listed from the warehouse folder."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from dbt.adapters.contracts.relation import ComponentName, Policy, RelationType
from dbt.adapters.embedded import views
from dbt.adapters.spark.relation import SparkRelation

from lakehouse.tables.warehouse import TableName, Warehouse


@dataclass
class EmbeddedQuotePolicy(Policy):
    """Quotes every name in backticks, so that any name works."""

    database: bool = False
    schema: bool = True
    identifier: bool = True


@dataclass(frozen=True, eq=False, repr=False)
class EmbeddedRelation(SparkRelation):
    """Relation rendered as `schema`.`identifier`."""

    quote_policy: Policy = field(default_factory=EmbeddedQuotePolicy)

    def _is_exactish_match(self, field: ComponentName, value: str) -> bool:
        # Names in Spark are case-insensitive.
        return str(self.path.get_lowered_part(field)) == value.lower()


def relations(warehouse: Warehouse, schema: str) -> Iterator[EmbeddedRelation]:
    """Yield the tables and views of a schema.

    They come from the folder instead of the engine: an engine also lists the temporary views of all schemas, and a
    shared engine lists the tables of other warehouses.
    """
    for table in warehouse.tables(schema):
        yield _relation(table, RelationType.Table)
    for view in views.names(warehouse, schema):
        yield _relation(view, RelationType.View)


def _relation(name: TableName, kind: RelationType) -> EmbeddedRelation:
    return EmbeddedRelation.create(
        schema=name.schema, identifier=name.table, type=kind, is_delta=kind == RelationType.Table
    )
