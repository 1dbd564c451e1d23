"""dbt's own fixtures for this adapter: each test class gets its own project and warehouse."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dbt.adapters.embedded.impl import EmbeddedAdapter
from dbt.adapters.spark.column import SparkColumn
from dbt.tests.fixtures import project as dbt_fixtures

from tests.adapter.dialect import added_column, dropped_table, in_models, statements

# pytest loads plugins only from the root conftest, but fixtures from any name in this module.
globals().update(
    {name: value for name, value in vars(dbt_fixtures).items() if type(value).__module__ == "_pytest.fixtures"}
)

# Warnings of dbt and its test suite that this project's `error` filter would raise; ignored in this folder only.
DBT_WARNINGS = [
    "ignore:(Class|Session)-scoped fixtures defined as instance methods",  # the suite's fixtures
    "ignore:If `index_col` is not specified",  # pandas on Spark, in a model of the suite
    "ignore:unclosed:ResourceWarning",  # dbt leaves its log files and thread pools to the garbage collector
    "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning",  # the same warning, reported by pytest
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for warning in DBT_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="class")
def dbt_profile_target() -> dict[str, Any]:
    """Profile of every test project; `warehouse` is below the project."""
    return {"type": "embedded", "warehouse": "warehouse", "threads": 4}


@pytest.fixture(scope="class")
def logs_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Folder for dbt's logs, outside this project."""
    folder = str(tmp_path_factory.mktemp("logs"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_LOG_PATH", folder)
        yield folder


@pytest.fixture(scope="class", autouse=True)
def translate_to_spark() -> Iterator[None]:
    """Translate the SQL of the suite into Spark's dialect."""
    run, write = EmbeddedAdapter.run_sql_for_tests, vars(dbt_fixtures)["write_file"]

    def translated(self: Any, sql: str, fetch: str, connection: Any) -> Any:
        rows, schema = None, self.config.credentials.schema
        for statement in statements(sql, self.config.credentials.lakehouse.root):
            if added := added_column(statement):
                table, column, data_type = added
                relation = self.Relation.create(schema=schema, identifier=table)
                self.add_columns(relation, [SparkColumn(column=column, dtype=data_type)])
            elif dropped := dropped_table(statement):
                self.drop_relation(self.Relation.create(schema=schema, identifier=dropped, type="table"))
            else:
                rows = run(self, statement, fetch, connection)
        return rows

    def translated_file(contents: str, *path: Any) -> None:
        write(in_models(contents) if str(path[-1]).endswith(".sql") else contents, *path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EmbeddedAdapter, "run_sql_for_tests", translated)
        patch.setattr(dbt_fixtures, "write_file", translated_file)
        yield
