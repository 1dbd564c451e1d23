"""dbt's public suite: hooks and query comments."""

from pathlib import Path
from typing import Any

import pytest
from dbt.tests.adapter.hooks.test_model_hooks import (
    BaseDuplicateHooksInConfigs,
    BaseHookRefs,
    BaseHooksRefsOnSeeds,
    BasePrePostModelHooks,
    BasePrePostModelHooksInConfig,
    BasePrePostModelHooksInConfigKwargs,
    BasePrePostModelHooksInConfigWithCount,
    BasePrePostModelHooksOnSeeds,
    BasePrePostModelHooksOnSeedsPlusPrefixed,
    BasePrePostModelHooksOnSeedsPlusPrefixedWhitespace,
    BasePrePostModelHooksOnSnapshots,
    BasePrePostSnapshotHooksInConfigKwargs,
)
from dbt.tests.adapter.hooks.test_run_hooks import BaseAfterRunHooks, BasePrePostRunHooks
from dbt.tests.adapter.query_comment.test_query_comment import (
    BaseEmptyQueryComments,
    BaseMacroArgsQueryComments,
    BaseMacroInvalidQueryComments,
    BaseMacroQueryComments,
    BaseNullQueryComments,
    BaseQueryComments,
)


class Scenes:
    """Set-up scripts of the tables that the hooks write to, and the expected values of `target`."""

    @pytest.fixture(scope="class")
    def test_data_dir(self) -> Path:
        return Path(__file__).parents[1] / "scenes"

    def check_hooks(self, state: str, project: Any, host: str | None, count: int = 1) -> None:
        for context in self.get_ctx_vars(state, count, project):  # type: ignore[attr-defined]
            actual = {name: context[name] for name in ("test_state", "target_name", "target_schema", "target_type")}
            assert list(actual.values()) == [state, "default", project.test_schema, "embedded"]
            assert (context["target_threads"], context["target_user"], context["target_pass"]) == (4, "", "")
            assert context["run_started_at"]
            assert context["invocation_id"]


no_add_column = pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="the hook is ALTER TABLE ADD COLUMN, which Sail does not have"
)


class TestPrePostModelHooks(Scenes, BasePrePostModelHooks):
    pass


class TestHookRefs(Scenes, BaseHookRefs):
    pass


@no_add_column
class TestPrePostModelHooksOnSeeds(BasePrePostModelHooksOnSeeds):
    pass


class TestHooksRefsOnSeeds(BaseHooksRefsOnSeeds):
    pass


@no_add_column
class TestPrePostModelHooksOnSeedsPlusPrefixed(BasePrePostModelHooksOnSeedsPlusPrefixed):
    pass


@no_add_column
class TestPrePostModelHooksOnSeedsPlusPrefixedWhitespace(BasePrePostModelHooksOnSeedsPlusPrefixedWhitespace):
    pass


@no_add_column
class TestPrePostModelHooksOnSnapshots(BasePrePostModelHooksOnSnapshots):
    pass


class TestPrePostModelHooksInConfig(Scenes, BasePrePostModelHooksInConfig):
    pass


class TestPrePostModelHooksInConfigWithCount(Scenes, BasePrePostModelHooksInConfigWithCount):
    pass


class TestPrePostModelHooksInConfigKwargs(Scenes, BasePrePostModelHooksInConfigKwargs):
    pass


@no_add_column
class TestPrePostSnapshotHooksInConfigKwargs(BasePrePostSnapshotHooksInConfigKwargs):
    pass


class TestDuplicateHooksInConfigs(Scenes, BaseDuplicateHooksInConfigs):
    pass


class TestPrePostRunHooks(Scenes, BasePrePostRunHooks):
    def get_ctx_vars(self, state: str, *count_and_project: Any) -> Any:
        return [super().get_ctx_vars(state, count_and_project[-1])]

    def assert_used_schemas(self, project: Any) -> None:
        # Spark has no database level above the schema.
        assert project.run_sql("select * from {schema}.schemas", fetch="all") == [(project.test_schema,)]


class TestAfterRunHooks(BaseAfterRunHooks):
    pass


class TestQueryComments(BaseQueryComments):
    pass


class TestMacroQueryComments(BaseMacroQueryComments):
    pass


class TestMacroArgsQueryComments(BaseMacroArgsQueryComments):
    pass


class TestMacroInvalidQueryComments(BaseMacroInvalidQueryComments):
    pass


class TestNullQueryComments(BaseNullQueryComments):
    pass


class TestEmptyQueryComments(BaseEmptyQueryComments):
    pass
