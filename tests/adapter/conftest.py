"""dbt's own fixtures, pointed at this adapter: each test class has a project and a warehouse of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dbt.adapters.embedded.impl import EmbeddedAdapter
from dbt.adapters.spark.column import SparkColumn
from dbt.tests.fixtures import project as dbt_fixtures

from tests.adapter.dialect import added_column, dropped_table, in_models, statements

# pytest takes a plugin only from the root; fixtures it takes from any name in this module.
globals().update({name: it for name, it in vars(dbt_fixtures).items() if type(it).__module__ == "_pytest.fixtures"})

# What dbt's suite and dbt itself warn of under this project's `error`, and only in this folder.
DBT_WARNS = [
    "ignore:(Class|Session)-scoped fixtures defined as instance methods",  # the suite's fixtures
    "ignore:If `index_col` is not specified",  # pandas on Spark, of one of the suite's models
    "ignore:unclosed:ResourceWarning",  # dbt's log files and thread pools, left to the collector
    "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning",  # the same, as pytest tells it
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for warning in DBT_WARNS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="class")
def dbt_profile_target() -> dict[str, Any]:
    """The profile of every project here; `warehouse` is below the project."""
    return {"type": "embedded", "warehouse": "warehouse", "threads": 4}


@pytest.fixture(scope="class")
def logs_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where dbt writes its logs: not in this project."""
    folder = str(tmp_path_factory.mktemp("logs"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_LOG_PATH", folder)
        yield folder


@pytest.fixture(scope="class", autouse=True)
def spoken_as_spark() -> Iterator[None]:
    """The suite's own SQL in Spark's dialect."""
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
