"""dbt's public suite: contracts and constraints."""

from typing import Any

import pytest
from dbt.tests.adapter.constraints import fixtures
from dbt.tests.adapter.constraints.test_constraints import (
    BaseConstraintQuotedColumn,
    BaseConstraintsRollback,
    BaseConstraintsRuntimeDdlEnforcement,
    BaseIncrementalConstraintsColumnsEqual,
    BaseIncrementalConstraintsRollback,
    BaseIncrementalConstraintsRuntimeDdlEnforcement,
    BaseIncrementalContractSqlHeader,
    BaseIncrementalForeignKeyConstraint,
    BaseModelConstraintsRuntimeEnforcement,
    BaseTableConstraintsColumnsEqual,
    BaseTableContractSqlHeader,
    BaseViewConstraintsColumnsEqual,
)


class SparkTypes:
    """Contracts with Spark types, because the suite has those of PostgreSQL."""

    @pytest.fixture
    def string_type(self) -> str:
        return "string"

    @pytest.fixture
    def int_type(self) -> str:
        return "int"

    @pytest.fixture
    def schema_string_type(self) -> str:
        return "string"

    @pytest.fixture
    def schema_int_type(self) -> str:
        return "int"

    @pytest.fixture
    def data_types(self) -> list[list[str]]:
        return [
            ["1", "int", "int"],
            ["'1'", "string", "string"],
            ["true", "boolean", "boolean"],
            ["DATE '2013-11-03'", "date", "date"],
            ["TIMESTAMP '2013-11-03 00:00:00'", "timestamp", "timestamp"],
            ["cast(1 as decimal(10, 2))", "decimal(10,2)", "decimal"],
            ["array('a', 'b')", "array<string>", "array"],
        ]


class TestTableConstraintsColumnsEqual(SparkTypes, BaseTableConstraintsColumnsEqual):
    pass


class TestViewConstraintsColumnsEqual(SparkTypes, BaseViewConstraintsColumnsEqual):
    pass


class TestIncrementalConstraintsColumnsEqual(SparkTypes, BaseIncrementalConstraintsColumnsEqual):
    pass


class WrittenByTheAdapter:
    """Skips the check of the DDL: the adapter writes the table, and `test_constraints.py` checks it."""

    @pytest.fixture(scope="class")
    def expected_sql(self) -> str:
        return "select 'written' as outcome"


class TestTableConstraintsRuntimeDdlEnforcement(WrittenByTheAdapter, BaseConstraintsRuntimeDdlEnforcement):
    pass


class TestIncrementalConstraintsRuntimeDdlEnforcement(
    WrittenByTheAdapter, BaseIncrementalConstraintsRuntimeDdlEnforcement
):
    pass


class TestModelConstraintsRuntimeEnforcement(WrittenByTheAdapter, BaseModelConstraintsRuntimeEnforcement):
    pass


class TestConstraintQuotedColumn(WrittenByTheAdapter, BaseConstraintQuotedColumn):
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, Any]:
        # In Spark, "from" is a text and `from` is a column.
        return {
            "my_model.sql": fixtures.my_model_with_quoted_column_name_sql.replace('"from"', "`from`"),
            "constraints_schema.yml": fixtures.model_quoted_column_schema_yml.replace('"from"', "`from`"),
        }


class DeltaSaysSo:
    @pytest.fixture(scope="class")
    def expected_error_messages(self) -> list[str]:
        return ["violated"]


class TestTableConstraintsRollback(DeltaSaysSo, BaseConstraintsRollback):
    pass


class TestIncrementalConstraintsRollback(DeltaSaysSo, BaseIncrementalConstraintsRollback):
    pass


class TestIncrementalForeignKeyConstraint(BaseIncrementalForeignKeyConstraint):
    pass


no_session_settings = pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="the header sets the session's time zone; Sail has no SET"
)


@no_session_settings
class TestTableContractSqlHeader(BaseTableContractSqlHeader):
    pass


@no_session_settings
class TestIncrementalContractSqlHeader(BaseIncrementalContractSqlHeader):
    pass
