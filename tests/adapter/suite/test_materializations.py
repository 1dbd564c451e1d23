"""dbt's public suite: tables, views, ephemeral models, names, the cache."""

from typing import Any

import pytest
from dbt.tests.adapter.aliases.test_aliases import BaseAliasErrors, BaseAliases, BaseSameAliasDifferentSchemas
from dbt.tests.adapter.basic.expected_catalog import base_expected_catalog, expected_references_catalog, no_stats
from dbt.tests.adapter.basic.test_adapter_methods import BaseAdapterMethod
from dbt.tests.adapter.basic.test_base import BaseSimpleMaterializations
from dbt.tests.adapter.basic.test_docs_generate import BaseDocsGenerate, BaseDocsGenReferences
from dbt.tests.adapter.basic.test_empty import BaseEmpty
from dbt.tests.adapter.basic.test_ephemeral import BaseEphemeral
from dbt.tests.adapter.basic.test_generic_tests import BaseGenericTests
from dbt.tests.adapter.basic.test_incremental import (
    BaseIncremental,
    BaseIncrementalBadStrategy,
    BaseIncrementalNotSchemaChange,
)
from dbt.tests.adapter.basic.test_singular_tests import BaseSingularTests
from dbt.tests.adapter.basic.test_singular_tests_ephemeral import BaseSingularTestsEphemeral
from dbt.tests.adapter.basic.test_snapshot_check_cols import BaseSnapshotCheckCols
from dbt.tests.adapter.basic.test_snapshot_timestamp import BaseSnapshotTimestamp
from dbt.tests.adapter.basic.test_table_materialization import BaseTableMaterialization
from dbt.tests.adapter.basic.test_validate_connection import BaseValidateConnection
from dbt.tests.adapter.caching.test_caching import (
    BaseCachingLowercaseModel,
    BaseCachingSelectedSchemaOnly,
    BaseCachingUppercaseModel,
    BaseNoPopulateCache,
)
from dbt.tests.adapter.concurrency.test_concurrency import BaseConcurrency
from dbt.tests.adapter.empty import _models as empty_models
from dbt.tests.adapter.empty.test_empty import BaseTestEmpty, BaseTestEmptyInlineSourceRef, MetadataWithEmptyFlag
from dbt.tests.adapter.ephemeral.test_ephemeral import (
    BaseEphemeralErrorHandling,
    BaseEphemeralMulti,
    BaseEphemeralNested,
)
from dbt.tests.adapter.relations.test_changing_relation_type import BaseChangeRelationTypeValidator
from dbt.tests.adapter.relations.test_dropping_schema_named import BaseDropSchemaNamed
from dbt.tests.adapter.sample_mode.test_sample_mode import BaseSampleModeTest
from dbt.tests.adapter.simple_copy.test_simple_copy import EmptyModelsArentRunBase, SimpleCopyBase
from dbt.tests.util import run_dbt
from dbt_common.exceptions import DbtDatabaseError


class TestAliases(BaseAliases):
    pass


class TestAliasErrors(BaseAliasErrors):
    pass


class TestSameAliasDifferentSchemas(BaseSameAliasDifferentSchemas):
    pass


class TestAdapterMethod(BaseAdapterMethod):
    pass


class TestSimpleMaterializations(BaseSimpleMaterializations):
    pass


class Catalogued:
    @pytest.fixture(scope="class")
    def expected_catalog(self, project: Any) -> Any:
        types = {"id_type": "bigint", "text_type": "string", "time_type": "timestamp"}
        kinds = {"view_type": "view", "table_type": "table"}
        return base_expected_catalog(project, role=None, **types, **kinds, model_stats=no_stats())


class TestDocsGenerate(Catalogued, BaseDocsGenerate):
    pass


class TestDocsGenReferences(BaseDocsGenReferences):
    @pytest.fixture(scope="class")
    def expected_catalog(self, project: Any) -> Any:
        types = {"id_type": "bigint", "text_type": "string", "time_type": "timestamp", "bigint_type": "bigint"}
        kinds = {"view_type": "view", "table_type": "table"}
        return expected_references_catalog(project, role=None, **types, **kinds, model_stats=no_stats())


class TestEmpty(BaseEmpty):
    pass


class TestEphemeral(BaseEphemeral):
    pass


class TestGenericTests(BaseGenericTests):
    pass


class TestIncremental(BaseIncremental):
    pass


class TestIncrementalNotSchemaChange(BaseIncrementalNotSchemaChange):
    pass


class TestIncrementalBadStrategy(BaseIncrementalBadStrategy):
    pass


class TestSingularTests(BaseSingularTests):
    pass


class TestSingularTestsEphemeral(BaseSingularTestsEphemeral):
    pass


class TestSnapshotCheckCols(BaseSnapshotCheckCols):
    pass


class TestSnapshotTimestamp(BaseSnapshotTimestamp):
    pass


class TestTableMaterialization(BaseTableMaterialization):
    pass


class TestValidateConnection(BaseValidateConnection):
    pass


class Inspected:
    """Cache tests without the database name, which Spark lacks."""

    def run_and_inspect_cache(self, project: Any, run_args: Any = None) -> None:
        names = []
        for _ in ("made by the run", "found in the warehouse"):
            run_dbt(run_args)
            assert len(project.adapter.cache.relations) == 1
            relation = next(iter(project.adapter.cache.relations))
            names.append((relation.schema.lower(), relation.identifier.lower()))
        assert names[0] == names[1]


class TestCachingLowercaseModel(Inspected, BaseCachingLowercaseModel):
    pass


class TestCachingUppercaseModel(Inspected, BaseCachingUppercaseModel):
    pass


class TestCachingSelectedSchemaOnly(Inspected, BaseCachingSelectedSchemaOnly):
    pass


class TestNoPopulateCache(Inspected, BaseNoPopulateCache):
    pass


class TestConcurrency(BaseConcurrency):
    pass


class TestTestEmpty(BaseTestEmpty):
    pass


class TestTestEmptyInlineSourceRef(BaseTestEmptyInlineSourceRef):
    pass


class TestMetadataWithEmptyFlag(MetadataWithEmptyFlag):
    # Without the models that drop a column or change its type or comment: Sail and Delta do not support this.

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {
            "schema.yml": empty_models.SCHEMA,
            "control.sql": empty_models.CONTROL,
            "get_columns_in_relation.sql": empty_models.GET_COLUMNS_IN_RELATION,
            "truncate_relation.sql": empty_models.TRUNCATE_RELATION,
        }

    @pytest.mark.parametrize("model", ["control", "get_columns_in_relation", "truncate_relation"])
    def test_run(self, project: Any, model: str) -> None:
        super().test_run(project, model)


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="the suite expects the view text of PostgreSQL",
)
class TestEphemeralMulti(BaseEphemeralMulti):
    pass


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="the suite expects the view text of PostgreSQL",
)
class TestEphemeralNested(BaseEphemeralNested):
    pass


class TestEphemeralErrorHandling(BaseEphemeralErrorHandling):
    pass


class TestChangeRelationTypeValidator(BaseChangeRelationTypeValidator):
    pass


class TestDropSchemaNamed(BaseDropSchemaNamed):
    pass


class TestSampleModeTest(BaseSampleModeTest):
    pass


class TestSimpleCopyBase(SimpleCopyBase):
    @pytest.mark.xfail(strict=True, raises=DbtDatabaseError, reason="Spark has no materialized views")
    def test_simple_copy_with_materialized_views(self, project: Any) -> None:
        super().test_simple_copy_with_materialized_views(project)


class TestEmptyModelsArentRun(EmptyModelsArentRunBase):
    def test_dbt_doesnt_run_empty_models(self, project: Any) -> None:
        # The suite reads an information schema, which Spark lacks.
        run_dbt(["seed"])
        assert len(run_dbt()) == 7
        with project.adapter.connection_named("__test"):
            relations = project.adapter.list_relations(None, project.test_schema)
        assert {"empty", "disabled"}.isdisjoint({relation.identifier for relation in relations})
