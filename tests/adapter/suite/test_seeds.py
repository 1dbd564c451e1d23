"""dbt's public suite: seeds."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dbt.tests.adapter.simple_seed import fixtures, seeds
from dbt.tests.adapter.simple_seed.test_seed import (
    BaseBasicSeedTests,
    BaseSeedConfigFullRefreshOff,
    BaseSeedConfigFullRefreshOn,
    BaseSeedCustomSchema,
    BaseSeedParsing,
    BaseSeedSpecificFormats,
    BaseSeedWithEmptyDelimiter,
    BaseSeedWithUniqueDelimiter,
    BaseSeedWithWrongDelimiter,
    BaseSimpleSeedEnabledViaConfig,
    BaseSimpleSeedWithBOM,
    BaseTestEmptySeed,
)
from dbt.tests.adapter.simple_seed.test_seed_type_override import BaseSimpleSeedColumnOverride


class KeepsViews:
    """A view outlives its seed, because Spark has no DROP ... CASCADE for tables."""

    def _check_relation_end_state(self, run_result: Any, project: Any, exists: bool) -> None:
        super()._check_relation_end_state(run_result, project, exists=True)  # type: ignore[misc]


class TestBasicSeedTests(KeepsViews, BaseBasicSeedTests):
    pass


class TestSeedConfigFullRefreshOn(KeepsViews, BaseSeedConfigFullRefreshOn):
    pass


class TestSeedConfigFullRefreshOff(BaseSeedConfigFullRefreshOff):
    pass


class TestSeedCustomSchema(BaseSeedCustomSchema):
    pass


class TestSeedWithUniqueDelimiter(BaseSeedWithUniqueDelimiter):
    pass


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="a header that does not split is one column, and any name works here"
)
class TestSeedWithWrongDelimiter(BaseSeedWithWrongDelimiter):
    pass


class TestSeedWithEmptyDelimiter(BaseSeedWithEmptyDelimiter):
    pass


class TestSimpleSeedEnabledViaConfig(BaseSimpleSeedEnabledViaConfig):
    @pytest.fixture
    def clear_test_schema(self, project: Any) -> Iterator[None]:
        # The suite drops the schema without the adapter, so the tables remain in the folder.
        yield
        project.drop_test_schema()
        project.create_test_schema()


class TestSeedParsing(BaseSeedParsing):
    pass


class TestSimpleSeedWithBOM(BaseSimpleSeedWithBOM):
    @pytest.fixture(scope="class", autouse=True)
    def setUp(self, project: Any) -> None:
        # The suite reads the file from its own repository.
        project.run_sql(seeds.seeds__expected_sql)
        file = Path(project.project_root) / "seeds" / "seed_bom.csv"
        file.write_text(seeds.seed__actual_csv.lstrip(), encoding="utf-8-sig")


class TestSeedSpecificFormats(BaseSeedSpecificFormats):
    @pytest.fixture(scope="class")
    def test_data_dir(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("formats") / "data"  # the suite creates it, by default next to this file


class TestTestEmptySeed(BaseTestEmptySeed):
    pass


class TestSimpleSeedColumnOverride(BaseSimpleSeedColumnOverride):
    # The type "text" of PostgreSQL is "string" in Spark.

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        types = {"text": "string", "integer": "bigint", "timestamp without time zone": "timestamp"}
        properties = re.sub(
            r"type: (.*)", lambda match: f"type: {types.get(match[1], match[1])}", fixtures.properties__schema_yml
        )
        return {"schema.yml": properties}

    @staticmethod
    def seed_enabled_types() -> dict[str, str]:
        return {"seed_id": "string", "birthday": "date"}

    @staticmethod
    def seed_tricky_types() -> dict[str, str]:
        return dict.fromkeys(["seed_id_str", "looks_like_a_bool", "looks_like_a_date"], "string")
