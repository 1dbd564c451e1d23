"""Tables of one catalogue of Unity Catalog, read by Spark in a workspace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from lakehouse.errors import LakehouseError, first_line
from lakehouse.tables.collation import without_collations
from lakehouse.tables.warehouse import TableName, TableNotFound, quoted_name, sql_text
from training.feature_store.errors import FeatureNotFound, TableExists
from training.feature_store.tables import Snapshot


class CatalogUnreadable(LakehouseError):
    """The catalog does not exist, or its tables may not be listed."""

    @classmethod
    def named(cls, catalog: str, reason: Exception) -> "CatalogUnreadable":
        return cls(
            f"the tables of the catalog '{catalog}' cannot be listed: {first_line(reason)}",
            hint="Set DATABRICKS_CATALOG to an existing catalog (databricks catalogs list), or ask for USE CATALOG.",
        )


@dataclass(frozen=True)
class UnityCatalog:
    """One catalogue, whose tables are named `schema.table`.

    Attributes:
        prefix: precedes every schema in the catalogue, and no name here.
    """

    session: SparkSession
    catalog: str
    prefix: str = ""

    def version(self, name: str, pinned: int | None = None) -> int:
        """The pinned version, or else the newest one.

        Raises:
            TableNotFound: the table does not exist or has no versions.
        """
        if not self.session.catalog.tableExists(self.quoted(name)):
            raise TableNotFound.named(name, self.tables())
        if pinned is not None:
            return pinned
        try:
            (newest,) = self.session.sql(f"DESCRIBE HISTORY {self.quoted(name)} LIMIT 1").collect()
        except PySparkException as err:
            raise TableNotFound.at_version(name, None, err) from err
        return int(newest["version"])

    def read(self, name: str, version: int) -> DataFrame:
        """The table at a version.

        Raises:
            TableNotFound: the table no longer has that version.
        """
        try:
            table = self.session.read.option("versionAsOf", str(version)).table(self.quoted(name))
            table.columns  # noqa: B018  (a remote session resolves the table only here)
        except PySparkException as err:
            raise TableNotFound.at_version(name, version, err) from err
        return table

    def create(self, name: str, rows: DataFrame) -> None:
        """Create a table.

        Raises:
            TableExists: a table of that name exists.
        """
        if self.session.catalog.tableExists(self.quoted(name)):
            raise TableExists.named(name)
        without_collations(rows).write.format("delta").saveAsTable(self.quoted(name))

    def columns(self, name: str, version: int, columns: Sequence[str]) -> DataFrame:
        """Columns of the table at a version.

        Raises:
            TableNotFound: the table no longer has that version.
            FeatureNotFound: the table lacks a column.
        """
        table = self.read(name, version)
        for column in columns:
            if column not in table.columns:
                raise FeatureNotFound.named(column, name, table.columns)
        return table.select(*columns)

    def snapshot(self, name: str, version: int) -> Snapshot:
        """The table at a version, as lineage records it.

        Raises:
            TableNotFound: the table no longer has that version.
        """
        pinned = self.read(name, self.version(name, version))
        (detail,) = self.session.sql(f"DESCRIBE DETAIL {self.quoted(name)}").collect()
        return Snapshot(name, version, self.full(name), detail["id"], pinned.count(), dict(pinned.dtypes))

    def properties(self, name: str) -> Mapping[str, str]:
        """Current properties of the table."""
        rows = self.session.sql(f"SHOW TBLPROPERTIES {self.quoted(name)}").collect()
        return {row["key"]: row["value"] for row in rows}

    def tables(self) -> list[str]:
        """Every table, sorted by name."""
        return self._query_names("tables", "true")

    def delta_tables(self, schemas: Sequence[str]) -> list[str]:
        """Every Delta table of these schemas, sorted by name; views and foreign tables are not."""
        among = ", ".join(sql_text(self.prefix + schema) for schema in schemas)
        return self._query_names("tables", f"table_schema IN ({among}) AND data_source_format = 'DELTA'")

    def keyed_tables(self) -> list[str]:
        """Every table with a primary key, sorted by name."""
        return self._query_names("table_constraints", "constraint_type = 'PRIMARY KEY'")

    def full(self, name: str) -> str:
        """`catalog.schema.table`, for the vendor's clients."""
        return f"{self.catalog}.{self.prefix}{TableName.parse(name)}"

    def quoted(self, name: str) -> str:
        """`catalog.schema.table` with every part quoted, for SQL."""
        parsed = TableName.parse(name)
        return quoted_name(self.catalog, self.prefix + parsed.schema, parsed.table)

    def _query_names(self, view: str, condition: str) -> list[str]:
        query = (
            f"SELECT table_schema, table_name FROM {quoted_name(self.catalog)}.information_schema.{view} "  # noqa: S608
            f"WHERE {condition} ORDER BY table_schema, table_name"
        )
        try:
            rows = self.session.sql(query).collect()
        except PySparkException as err:
            raise CatalogUnreadable.named(self.catalog, err) from err
        names = [f"{row['table_schema']}.{row['table_name']}" for row in rows]
        return [name.removeprefix(self.prefix) for name in names if name.startswith(self.prefix)]
