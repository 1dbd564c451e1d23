"""Aliases and stage tags in a real registry, also after an interruption at each write."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest
from mlflow.tracking import MlflowClient

from deployment.ledger import aliases as ledger_aliases
from tests.contract.databases import new_database
from training.registry.versions import CHALLENGER, CHAMPION, newest_version, version_of

NAME = "term_deposit"


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return new_database(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def client(uri: str) -> MlflowClient:
    """Registry without models."""
    registry = MlflowClient(uri, uri)
    for model in registry.search_registered_models():
        registry.delete_registered_model(model.name)
    return registry


def trained(client: MlflowClient, versions: int = 3, name: str = NAME) -> None:
    """Register versions as training does: all in development, the newest is challenger, no champion."""
    client.create_registered_model(name)
    for _ in range(versions):
        client.create_model_version(name, source="file:///nowhere", tags={"stage": "Development"})
    client.set_registered_model_alias(name, CHALLENGER, str(versions))


def tags(client: MlflowClient, name: str = NAME) -> dict[int, str | None]:
    registered = client.search_model_versions(f"name = '{name}'")
    return {int(version.version): version.tags.get("stage") for version in registered}


def aliases(client: MlflowClient, name: str = NAME) -> dict[str, int]:
    registered: Mapping[str, Any] = client.get_registered_model(name).aliases
    return {alias: int(version) for alias, version in registered.items()}


def promote(client: MlflowClient, name: str, version: str) -> None:
    """Promote as the gate does: first the alias champion, then everything else."""
    client.set_registered_model_alias(name, CHAMPION, version)
    ledger_aliases.synchronize(client, name, None)


class Interrupted(Exception):
    """The command was killed."""


class InterruptedClient:
    """A client that fails after a number of writes."""

    def __init__(self, client: MlflowClient, writes: int) -> None:
        self.client, self.remaining = client, writes

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self.client, name)
        if not name.startswith(("set_", "delete_", "create_", "update_")):
            return method

        def write(*arguments: Any) -> Any:
            if self.remaining == 0:
                raise Interrupted
            self.remaining -= 1
            return method(*arguments)

        return write


def test_challenger_and_champion_are_found(client: MlflowClient) -> None:
    trained(client)
    promote(client, NAME, "1")
    versions = ledger_aliases.aliased_versions(client, NAME)
    assert versions.champion is not None
    assert (int(versions.challenger.version), int(versions.champion.version)) == (3, 1)


@pytest.mark.parametrize("name", [NAME, "never_trained"])
def test_without_challenger_and_champion_the_hint_is_to_train(client: MlflowClient, name: str) -> None:
    trained(client)
    client.delete_registered_model_alias(NAME, CHALLENGER)
    with pytest.raises(ledger_aliases.NoChallenger) as refused:
        ledger_aliases.aliased_versions(client, name)
    assert str(refused.value) == (
        f"{name} has no challenger; it has no champion either\n  Train one: python -m training.run --use-case {name}"
    )


def test_without_challenger_the_message_names_the_champion(client: MlflowClient) -> None:
    trained(client)
    promote(client, NAME, "3")
    with pytest.raises(
        ledger_aliases.NoChallenger, match=r"no challenger; version 3 is the champion\n.*training\.run"
    ):
        ledger_aliases.aliased_versions(client, NAME)


def test_the_champion_is_not_also_the_challenger(client: MlflowClient) -> None:
    trained(client)
    client.set_registered_model_alias(NAME, CHAMPION, "3")  # interrupted before the alias challenger was removed
    assert aliases(client) == {CHALLENGER: 3, CHAMPION: 3}
    with pytest.raises(ledger_aliases.NoChallenger, match="version 3 is the champion"):
        ledger_aliases.aliased_versions(client, NAME)


@pytest.mark.parametrize("name", [NAME, "never_trained"])
def test_without_champion_the_hint_is_to_promote(client: MlflowClient, name: str) -> None:
    trained(client)
    with pytest.raises(ledger_aliases.NoChampion) as refused:
        ledger_aliases.champion(client, name)
    command = f"Promote one: python -m deployment.run promote --use-case {name}"
    assert str(refused.value) == f"{name} has no champion to serve\n  {command}"


def test_a_promotion_removes_the_alias_challenger_and_archives_the_earlier_champion(client: MlflowClient) -> None:
    trained(client)
    promote(client, NAME, "2")
    assert (tags(client), aliases(client)) == (
        {1: "Development", 2: "Production", 3: "Development"},
        {CHALLENGER: 3, CHAMPION: 2},
    )
    promote(client, NAME, "3")
    assert (tags(client), aliases(client)) == ({1: "Development", 2: "Archived", 3: "Production"}, {CHAMPION: 3})


def test_promoting_the_same_version_twice_changes_nothing(client: MlflowClient) -> None:
    trained(client)
    promote(client, NAME, "3")
    once = tags(client), aliases(client)
    promote(client, NAME, "3")
    assert (tags(client), aliases(client)) == once


def test_an_older_version_can_become_champion_again(client: MlflowClient) -> None:
    trained(client)
    for version in ("1", "3", "1"):
        promote(client, NAME, version)
    assert (tags(client), aliases(client)) == (
        {1: "Production", 2: "Development", 3: "Archived"},
        {CHAMPION: 1},
    )


def test_a_newer_challenger_keeps_its_alias(client: MlflowClient) -> None:
    trained(client, versions=4)
    promote(client, NAME, "3")
    assert int(ledger_aliases.aliased_versions(client, NAME).challenger.version) == 4


def test_synchronize_leaves_one_version_in_production(client: MlflowClient) -> None:
    trained(client, versions=6)
    for version, stage in ((1, "Production"), (2, "Production"), (3, "Archived"), (4, "Archived"), (5, "Staging")):
        client.set_model_version_tag(NAME, str(version), "stage", stage)
    client.delete_model_version_tag(NAME, "6", "stage")
    client.set_registered_model_alias(NAME, CHAMPION, "3")
    ledger_aliases.synchronize(client, NAME, None)
    assert tags(client) == {1: "Archived", 2: "Archived", 3: "Production", 4: "Archived", 5: "Staging", 6: None}


def test_synchronize_archives_former_champions(client: MlflowClient) -> None:
    trained(client)
    client.set_registered_model_alias(NAME, CHAMPION, "2")
    ledger_aliases.synchronize(client, NAME, previous=1, champions=(2, 1))
    assert tags(client) == {1: "Archived", 2: "Production", 3: "Development"}


def test_synchronize_tags_a_champion_without_a_stage(client: MlflowClient) -> None:
    trained(client, versions=1)
    client.delete_model_version_tag(NAME, "1", "stage")
    client.set_registered_model_alias(NAME, CHAMPION, "1")
    ledger_aliases.synchronize(client, NAME, None)
    assert (tags(client), aliases(client)) == ({1: "Production"}, {CHAMPION: 1})


@pytest.mark.parametrize("name", [NAME, "never_trained"])
def test_synchronize_without_a_champion_changes_nothing(client: MlflowClient, name: str) -> None:
    trained(client)
    client.set_model_version_tag(NAME, "1", "stage", "Production")
    ledger_aliases.synchronize(client, name, None)
    assert (tags(client), aliases(client)) == (
        {1: "Production", 2: "Development", 3: "Development"},
        {CHALLENGER: 3},
    )


def test_synchronize_writes_nothing_if_all_matches(client: MlflowClient) -> None:
    trained(client)
    promote(client, NAME, "1")
    ledger_aliases.synchronize(cast(MlflowClient, InterruptedClient(client, writes=0)), NAME, None)


def test_versions_of_other_models_stay_unchanged(client: MlflowClient) -> None:
    trained(client)
    trained(client, name="term_deposit_plus")
    promote(client, "term_deposit_plus", "2")
    promote(client, NAME, "3")
    assert tags(client, "term_deposit_plus") == {1: "Development", 2: "Production", 3: "Development"}
    assert aliases(client, "term_deposit_plus") == {CHALLENGER: 3, CHAMPION: 2}


@pytest.mark.parametrize(("writes", "champion"), [(0, 1), (1, 3), (2, 3), (3, 3)])
def test_an_interrupted_promotion_is_complete_or_undone_after_synchronize(
    client: MlflowClient, writes: int, champion: int
) -> None:
    trained(client)
    promote(client, NAME, "1")
    with pytest.raises(Interrupted):
        promote(cast(MlflowClient, InterruptedClient(client, writes)), NAME, "3")
    assert int(ledger_aliases.champion(client, NAME).version) == champion
    ledger_aliases.synchronize(client, NAME, None)
    expected: dict[int, tuple[dict[int, str], dict[str, int]]] = {
        1: ({1: "Production", 2: "Development", 3: "Development"}, {CHALLENGER: 3, CHAMPION: 1}),
        3: ({1: "Archived", 2: "Development", 3: "Production"}, {CHAMPION: 3}),
    }
    assert (tags(client), aliases(client)) == expected[champion]


def test_versions_are_compared_as_numbers(client: MlflowClient) -> None:
    trained(client, versions=11)
    promote(client, NAME, "9")
    newest = newest_version(client, NAME)
    assert newest is not None
    assert (int(newest.version), int(ledger_aliases.aliased_versions(client, NAME).challenger.version)) == (11, 11)
    promote(client, NAME, "11")
    assert {version for version, stage in tags(client).items() if stage == "Production"} == {11}
    assert {version for version, stage in tags(client).items() if stage == "Archived"} == {9}


def test_a_missing_alias_or_model_has_no_version(client: MlflowClient) -> None:
    assert (version_of(client, NAME, CHAMPION), newest_version(client, NAME)) == (None, None)
    trained(client)
    assert version_of(client, NAME, CHAMPION) is None


def test_the_previous_champion_has_the_alias_previous(client: MlflowClient) -> None:
    trained(client)
    client.set_registered_model_alias(NAME, CHAMPION, "2")
    ledger_aliases.synchronize(client, NAME, previous=1)
    assert aliases(client) == {CHALLENGER: 3, CHAMPION: 2, ledger_aliases.PREVIOUS: 1}
    ledger_aliases.synchronize(cast(MlflowClient, InterruptedClient(client, writes=0)), NAME, 1)
    ledger_aliases.synchronize(client, NAME, previous=None)
    assert aliases(client) == {CHALLENGER: 3, CHAMPION: 2}


def test_another_challenger_than_required_is_refused(client: MlflowClient) -> None:
    trained(client)
    assert int(ledger_aliases.aliased_versions(client, NAME, 3).challenger.version) == 3
    with pytest.raises(
        ledger_aliases.NoChallenger, match=r"version 2 is not .* 3 is\n.*version 2.* alias challenger"
    ):
        ledger_aliases.aliased_versions(client, NAME, 2)


def test_missing_models_and_deleted_versions_are_reported(client: MlflowClient) -> None:
    with pytest.raises(ledger_aliases.NoModel, match=r"term_deposit has no registered model\n.*training\.run"):
        ledger_aliases.require_model(client, NAME)
    trained(client)
    client.delete_model_version(NAME, "2")
    assert [ledger_aliases.exists(client, NAME, version) for version in (1, 2, 3)] == [True, False, True]
    with pytest.raises(ledger_aliases.NoModel, match="version 2 of term_deposit is not in the registry"):
        ledger_aliases.version(client, NAME, 2)
