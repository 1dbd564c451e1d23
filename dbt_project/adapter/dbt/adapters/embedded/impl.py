"""Adapter: implements dbt's warehouse interface on Delta tables in a folder."""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from dbt.adapters.base.impl import ConstraintSupport, PythonJobHelper
from dbt.adapters.base.meta import available
from dbt.adapters.base.relation import BaseRelation
from dbt.adapters.embedded import views
from dbt.adapters.embedded.appended import appended_beyond
from dbt.adapters.embedded.connections import EmbeddedConnectionManager, EmbeddedCredentials
from dbt.adapters.embedded.dialect import translated
from dbt.adapters.embedded.dialect.schema import readable_schema
from dbt.adapters.embedded.publication import table_spec
from dbt.adapters.embedded.python_models import SessionPythonJob
from dbt.adapters.embedded.relation import EmbeddedRelation, relations
from dbt.adapters.embedded.seeds import seed_frame
from dbt.adapters.embedded.tables import TableWriter
from dbt.adapters.embedded.unique_keys import has_unique_key
from dbt.adapters.events.types import CatalogGenerationError
from dbt.adapters.sail.impl import SailAdapter
from dbt.adapters.spark.column import SparkColumn
from dbt_common.contracts.constraints import ConstraintType
from dbt_common.events.functions import warn_or_error
from dbt_common.exceptions import DbtRuntimeError
from deltalake.schema import Field, PrimitiveType
from pyspark.errors import PySparkException

from lakehouse.errors import LakehouseError
from lakehouse.landing.deliveries import new_rows
from lakehouse.landing.frame import streamed_frame
from lakehouse.landing.landing_file import landed_parts, landed_schema
from lakehouse.landing.options import LandingOptions
from lakehouse.landing.sources.declaration import LandingSource
from lakehouse.landing.sources.reading import source_rows, source_schema
from lakehouse.tables.warehouse import TableName, Warehouse

Helpers = dict[str, type[PythonJobHelper]]


class EmbeddedAdapter(SailAdapter):
    """Sail's adapter with persistent tables."""

    ConnectionManager = EmbeddedConnectionManager
    Relation = EmbeddedRelation
    CONSTRAINT_SUPPORT = {  # noqa: RUF012  (dbt's own declaration)
        ConstraintType.check: ConstraintSupport.ENFORCED,
        ConstraintType.not_null: ConstraintSupport.ENFORCED,
        ConstraintType.unique: ConstraintSupport.NOT_ENFORCED,
        ConstraintType.primary_key: ConstraintSupport.NOT_ENFORCED,
        ConstraintType.foreign_key: ConstraintSupport.NOT_ENFORCED,
    }

    def __init__(self, config: Any, mp_context: Any) -> None:
        super().__init__(config, mp_context)
        self._credentials: EmbeddedCredentials = config.credentials
        # `dbt debug` may run without a project.
        self._credentials.project_root = str(getattr(config, "project_root", Path.cwd()))

    @classmethod
    def type(cls) -> str:
        return "embedded"

    # Python models

    @property
    def default_python_submission_method(self) -> str:
        return "session"

    @property
    def python_submission_helpers(self) -> Helpers:
        return {"session": SessionPythonJob}

    # Writing

    @available.parse_none
    def write_table(self, relation: BaseRelation, sql: str, model: Mapping[str, Any]) -> None:
        """Replace the relation with the rows of a query and enforce the model's constraints."""
        with _as_dbt_errors():
            rows = self._session().sql(translated(self._session(), sql))
        self._write(relation, rows, model)

    @available.parse_none
    def write_seed(
        self, relation: BaseRelation, rows: Any, types: Mapping[str, str], model: Mapping[str, Any]
    ) -> None:
        """Replace the relation with the rows of a seed."""
        self._write(relation, seed_frame(self._session(), rows, types), model)

    @available.parse_none
    def require_publishable(self, relation: BaseRelation, new_rows: BaseRelation, model: Mapping[str, Any]) -> None:
        """Check that rows may be added to the relation: same key, declared columns."""
        with _as_dbt_errors():
            rows = self._session().table(new_rows.render())
            self._writer().require_publishable(rows, _name(relation), table_spec(model))

    @available.parse_none
    def publish(self, relation: BaseRelation, model: Mapping[str, Any]) -> None:
        """Update the CHECKs and properties of a table that was not rewritten."""
        with _as_dbt_errors():
            self._writer().publish(_name(relation), table_spec(model))

    @available.parse_none
    def store_view(self, relation: BaseRelation, create_sql: str) -> None:
        """Store the view, so that it outlives this process."""
        views.store(self._credentials.lakehouse, _name(relation), translated(self._session(), create_sql))

    @available.parse_none
    def drop_temporary_view(self, relation: BaseRelation) -> None:
        """Drop the temporary view with the new rows of an incremental model or snapshot."""
        self._session().catalog.dropTempView(str(relation.identifier))

    @available.parse_none
    def landing_view(self, model: str, landing_file: Mapping[str, Any]) -> str:
        """Create a temporary view of a delimited file, with a path below the project, and return its name."""
        name = f"landing_of_{model}"
        with _as_dbt_errors():
            options = LandingOptions.of(model, landing_file)
            rows = landed_parts(Path(self._credentials.project_root) / options.path, options)
            streamed_frame(self._session(), landed_schema(options), rows).createOrReplaceTempView(name)
        return name

    @available.parse_none
    def source_view(self, model: str, landing_source: Mapping[str, Any]) -> str:
        """Create a temporary view of a source with types of its own, and return its name."""
        name = f"source_of_{model}"
        with _as_dbt_errors():
            source = LandingSource.of(model, landing_source)
            rows = source_rows(source, Path(self._credentials.project_root))
            streamed_frame(self._session(), source_schema(source), rows).createOrReplaceTempView(name)
        return name

    @available.parse_none
    def deliveries_view(
        self,
        model: str,
        landing_files: Mapping[str, Any],
        loaded: BaseRelation | None,
        first: Mapping[str, BaseRelation],
    ) -> str:
        """Create a temporary view of the deliveries that a model has not loaded yet, and return its name.

        Args:
            model: its name.
            landing_files: its `meta.landing_files`.
            loaded: table with what it has loaded; none if it loads everything.
            first: tables that this run has loaded before, by folder.
        """
        name, session = f"deliveries_of_{model}", self._session()
        tables = {folder: session.table(relation.render()) for folder, relation in first.items()}
        with _as_dbt_errors():
            rows = new_rows(session, landing_files, loaded.render() if loaded else None, **tables)
            rows.createOrReplaceTempView(name)
        return name

    @available.parse_list
    def valid_incremental_strategies(self) -> list[str]:
        """Strategies available to dbt's dispatch; see macros/incremental.sql."""
        return ["append", "merge", "insert_overwrite", "microbatch"]

    @available.parse_none
    def start_change(self, relation: BaseRelation) -> BaseRelation:
        """Copy of a table that an incremental strategy writes to."""
        with _as_dbt_errors():
            identifier = self._writer().start_change(_name(relation))
        changed: BaseRelation = relation.incorporate(path={"identifier": identifier})
        return changed

    @available.parse_none
    def finish_change(self, relation: BaseRelation, model: Mapping[str, Any], replaces_partitions: bool) -> None:
        """Publish the changes of the copy, if they meet the model's constraints."""
        with _as_dbt_errors():
            writer = self._writer()
            writer.finish_change(_name(relation), table_spec(model), replaces_partitions=replaces_partitions)

    @available.parse_none
    def appended_beyond(self, relation: BaseRelation, key: list[str], since: datetime) -> str | None:
        """SQL condition for the rows that this run appended, if none of their keys can have existed before."""
        return appended_beyond(self._credentials.lakehouse, _name(relation), key, since)

    @available.parse_none
    def has_unique_key(self, relation: BaseRelation, key: list[str], among: str) -> bool:
        """Tell if it is certain that each key has one row that meets a condition; a server checks in SQL."""
        warehouse, here = self._credentials.lakehouse, self._credentials.remote is None
        return here and has_unique_key(warehouse, _name(relation), key, among)

    @available.parse_none
    def add_columns(self, relation: BaseRelation, columns: Iterable[SparkColumn]) -> None:
        """Add nullable columns to a table."""
        table = self._credentials.lakehouse.open(_name(relation))
        names = {"int": "integer", "bigint": "long", "smallint": "short", "tinyint": "byte"}
        table.alter.add_columns(
            [Field(c.name, PrimitiveType(names.get(c.data_type.lower(), c.data_type.lower()))) for c in columns]
        )

    def drop_relation(self, relation: BaseRelation) -> None:
        if relation.type == "table":
            self.cache_dropped(relation)
            self._writer().drop(_name(relation))
            return
        super().drop_relation(relation)  # type: ignore[no-untyped-call]
        views.delete(self._credentials.lakehouse, _name(relation))

    def rename_relation(self, from_relation: BaseRelation, to_relation: BaseRelation) -> None:
        if from_relation.type != "table":
            raise DbtRuntimeError(f"{from_relation} is a view and cannot be renamed: build it under its new name")
        self.cache_renamed(from_relation, to_relation)
        self._writer().rename(_name(from_relation), _name(to_relation))

    def drop_schema(self, relation: BaseRelation) -> None:
        super().drop_schema(relation)
        folder = self._credentials.lakehouse.folder(str(relation.schema))
        if folder.is_dir():
            shutil.rmtree(folder)

    # Reading

    def list_relations_without_caching(self, schema_relation: BaseRelation) -> list[BaseRelation]:
        return list(relations(self._credentials.lakehouse, str(schema_relation.schema)))

    @available.parse_list
    def all_relations(self) -> list[BaseRelation]:
        """Tables and views of all schemas."""
        warehouse = self._credentials.lakehouse
        return [found for schema in _schemas(warehouse) for found in relations(warehouse, schema)]

    def _get_columns_for_catalog(self, relation: BaseRelation) -> Iterable[dict[str, Any]]:
        try:
            return list(super()._get_columns_for_catalog(relation))
        except DbtRuntimeError as err:
            # One unreadable relation leaves a gap in the documentation of a schema, not of all its relations.
            warn_or_error(CatalogGenerationError(exc=f"{relation} is missing in the catalogue: {err}"))
            return []

    def get_columns_in_relation(self, relation: BaseRelation) -> list[SparkColumn]:
        # Sail's DESCRIBE shows no columns for a table that was registered by its location.
        try:
            fields = readable_schema(self._session().table(relation.render())).fields
        except PySparkException as err:
            # dbt also asks for relations that do not exist, and expects no columns.
            if self._exists(relation):
                raise DbtRuntimeError(f"cannot read the columns of {relation}: {err}") from err
            return []
        return [
            SparkColumn(
                table_schema=relation.schema,
                table_name=relation.identifier,
                table_type=relation.type,
                column=field.name,
                column_index=position,
                dtype=field.dataType.simpleString(),
            )
            for position, field in enumerate(fields, start=1)
        ]

    def get_column_schema_from_query(self, sql: str) -> list[SparkColumn]:
        with _as_dbt_errors():
            rows = readable_schema(self._session().sql(translated(self._session(), sql)))
        return [SparkColumn(column=field.name, dtype=field.dataType.simpleString()) for field in rows.fields]

    def _exists(self, relation: BaseRelation) -> bool:
        existing = relations(self._credentials.lakehouse, str(relation.schema))
        return str(relation.identifier).lower() in {str(other.identifier).lower() for other in existing}

    def parse_columns_from_information(self, relation: BaseRelation) -> list[SparkColumn]:
        return self.get_columns_in_relation(relation)

    def _write(self, relation: BaseRelation, rows: Any, model: Mapping[str, Any]) -> None:
        with _as_dbt_errors():
            self._writer().write(rows, _name(relation), table_spec(model))

    def _writer(self) -> TableWriter:
        return TableWriter(self._session(), self._credentials.lakehouse)

    def _session(self) -> Any:
        return self._credentials.session()


@contextmanager
def _as_dbt_errors() -> Iterator[None]:
    try:
        yield
    except (LakehouseError, PySparkException) as err:
        raise DbtRuntimeError(str(err)) from err


def _schemas(warehouse: Warehouse) -> list[str]:
    folders = warehouse.root.iterdir() if warehouse.root.is_dir() else []
    return sorted(folder.name for folder in folders if folder.is_dir() and not folder.name.startswith("."))


def _name(relation: BaseRelation) -> TableName:
    return TableName(str(relation.schema), str(relation.identifier))
