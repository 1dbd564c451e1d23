"""Aliases and tags on a real registry, through every place where a command can be cut off."""

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
    """A registry in which nothing was ever trained."""
    ours = MlflowClient(uri, uri)
    for model in ours.search_registered_models():
        ours.delete_registered_model(model.name)
    return ours


def trained(client: MlflowClient, versions: int = 3, name: str = NAME) -> None:
    """As training leaves it: versions in development, the newest the challenger, no champion."""
    client.create_registered_model(name)
    for _ in range(versions):
        client.create_model_version(name, source="file:///nowhere", tags={"stage": "Development"})
    client.set_registered_model_alias(name, CHALLENGER, str(versions))


def tags(client: MlflowClient, name: str = NAME) -> dict[int, str | None]:
    found = client.search_model_versions(f"name = '{name}'")
    return {int(version.version): version.tags.get("stage") for version in found}


def aliases(client: MlflowClient, name: str = NAME) -> dict[str, int]:
    found: Mapping[str, Any] = client.get_registered_model(name).aliases
    return {alias: int(version) for alias, version in found.items()}


def crown(client: MlflowClient, name: str, version: str) -> None:
    """As the gate does it: the alias first, and the rest follows."""
    client.set_registered_model_alias(name, CHAMPION, version)
    ledger_aliases.settle(client, name, None)


class CutOff(Exception):
    """The command was killed."""


class Dying:
    """A client that lets some writes through and is killed before the next."""

    def __init__(self, client: MlflowClient, writes: int) -> None:
        self.client, self.left = client, writes

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self.client, name)
        if not name.startswith(("set_", "delete_", "create_", "update_")):
            return method

        def write(*arguments: Any) -> Any:
            if self.left == 0:
                raise CutOff
            self.left -= 1
            return method(*arguments)

        return write


def test_a_contest_has_the_challenger_and_the_champion(client: MlflowClient) -> None:
    trained(client)
    crown(client, NAME, "1")
    contest = ledger_aliases.contest(client, NAME)
    assert contest.champion is not None
    assert (int(contest.challenger.version), int(contest.champion.version)) == (3, 1)


@pytest.mark.parametrize("name", [NAME, "never_trained"])
def test_without_challenger_and_champion_the_command_to_train_is_named(client: MlflowClient, name: str) -> None:
    trained(client)
    client.delete_registered_model_alias(NAME, CHALLENGER)
    with pytest.raises(ledger_aliases.NoChallenger) as refused:
        ledger_aliases.contest(client, name)
    assert str(refused.value) == (
        f"{name} has no challenger; and no champion either\n  Train one: python -m training.run --use-case {name}"
    )


def test_without_challenger_the_champion_that_serves_is_named(client: MlflowClient) -> None:
    trained(client)
    crown(client, NAME, "3")
    with pytest.raises(
        ledger_aliases.NoChallenger, match=r"no challenger; version 3 is the champion\n.*training\.run"
    ):
        ledger_aliases.contest(client, NAME)


def test_a_champion_is_not_its_own_challenger(client: MlflowClient) -> None:
    trained(client)
    client.set_registered_model_alias(NAME, CHAMPION, "3")  # cut off before the challenger's alias was removed
    assert aliases(client) == {CHALLENGER: 3, CHAMPION: 3}
    with pytest.raises(ledger_aliases.NoChallenger, match="version 3 is the champion"):
        ledger_aliases.contest(client, NAME)


@pytest.mark.parametrize("name", [NAME, "never_trained"])
def test_without_champion_the_command_to_promote_is_named(client: MlflowClient, name: str) -> None:
    trained(client)
    with pytest.raises(ledger_aliases.NoChampion) as refused:
        ledger_aliases.champion(client, name)
    command = f"Promote one: python -m deployment.run promote --use-case {name}"
    assert str(refused.value) == f"{name} has no champion to serve\n  {command}"


def test_a_crown_takes_the_challengers_alias_and_archives_the_champion_before(client: MlflowClient) -> None:
    trained(client)
    crown(client, NAME, "2")
    assert (tags(client), aliases(client)) == (
        {1: "Development", 2: "Production", 3: "Development"},
        {CHALLENGER: 3, CHAMPION: 2},
    )
    crown(client, NAME, "3")
    assert (tags(client), aliases(client)) == ({1: "Development", 2: "Archived", 3: "Production"}, {CHAMPION: 3})


def test_the_same_crown_twice_changes_nothing_more(client: MlflowClient) -> None:
    trained(client)
    crown(client, NAME, "3")
    once = tags(client), aliases(client)
    crown(client, NAME, "3")
    assert (tags(client), aliases(client)) == once


def test_an_older_version_can_be_crowned_again(client: MlflowClient) -> None:
    trained(client)
    for version in ("1", "3", "1"):
        crown(client, NAME, version)
    assert (tags(client), aliases(client)) == (
        {1: "Production", 2: "Development", 3: "Archived"},
        {CHAMPION: 1},
    )


def test_a_challenger_that_was_trained_since_stays_one(client: MlflowClient) -> None:
    trained(client, versions=4)
    crown(client, NAME, "3")
    assert int(ledger_aliases.contest(client, NAME).challenger.version) == 4


def test_settling_leaves_one_version_in_production_whatever_the_tags_were(client: MlflowClient) -> None:
    trained(client, versions=6)
    for version, stage in ((1, "Production"), (2, "Production"), (3, "Archived"), (4, "Archived"), (5, "Staging")):
        client.set_model_version_tag(NAME, str(version), "stage", stage)
    client.delete_model_version_tag(NAME, "6", "stage")
    client.set_registered_model_alias(NAME, CHAMPION, "3")
    ledger_aliases.settle(client, NAME, None)
    assert tags(client) == {1: "Archived", 2: "Archived", 3: "Production", 4: "Archived", 5: "Staging", 6: None}


def test_settling_archives_a_former_champion_whatever_its_tag_was(client: MlflowClient) -> None:
    trained(client)
    client.set_registered_model_alias(NAME, CHAMPION, "2")
    ledger_aliases.settle(client, NAME, previous=1, former=(2, 1))
    assert tags(client) == {1: "Archived", 2: "Production", 3: "Development"}


def test_settling_a_champion_without_a_tag_gives_it_one(client: MlflowClient) -> None:
    trained(client, versions=1)
    client.delete_model_version_tag(NAME, "1", "stage")
    client.set_registered_model_alias(NAME, CHAMPION, "1")
    ledger_aliases.settle(client, NAME, None)
    assert (tags(client), aliases(client)) == ({1: "Production"}, {CHAMPION: 1})


@pytest.mark.parametrize("name", [NAME, "never_trained"])
def test_settling_without_a_champion_changes_nothing(client: MlflowClient, name: str) -> None:
    trained(client)
    client.set_model_version_tag(NAME, "1", "stage", "Production")
    ledger_aliases.settle(client, name, None)
    assert (tags(client), aliases(client)) == (
        {1: "Production", 2: "Development", 3: "Development"},
        {CHALLENGER: 3},
    )


def test_settling_what_is_settled_writes_nothing(client: MlflowClient) -> None:
    trained(client)
    crown(client, NAME, "1")
    ledger_aliases.settle(cast(MlflowClient, Dying(client, writes=0)), NAME, None)


def test_another_models_versions_stay_as_they_are(client: MlflowClient) -> None:
    trained(client)
    trained(client, name="term_deposit_plus")
    crown(client, "term_deposit_plus", "2")
    crown(client, NAME, "3")
    assert tags(client, "term_deposit_plus") == {1: "Development", 2: "Production", 3: "Development"}
    assert aliases(client, "term_deposit_plus") == {CHALLENGER: 3, CHAMPION: 2}


@pytest.mark.parametrize(("writes", "serving"), [(0, 1), (1, 3), (2, 3), (3, 3)])
def test_a_crown_that_was_cut_off_anywhere_is_all_or_nothing_once_settled(
    client: MlflowClient, writes: int, serving: int
) -> None:
    trained(client)
    crown(client, NAME, "1")
    with pytest.raises(CutOff):
        crown(cast(MlflowClient, Dying(client, writes)), NAME, "3")
    assert int(ledger_aliases.champion(client, NAME).version) == serving
    ledger_aliases.settle(client, NAME, None)
    settled: dict[int, tuple[dict[int, str], dict[str, int]]] = {
        1: ({1: "Production", 2: "Development", 3: "Development"}, {CHALLENGER: 3, CHAMPION: 1}),
        3: ({1: "Archived", 2: "Development", 3: "Production"}, {CHAMPION: 3}),
    }
    assert (tags(client), aliases(client)) == settled[serving]


def test_versions_are_numbers_and_not_text(client: MlflowClient) -> None:
    trained(client, versions=11)
    crown(client, NAME, "9")
    newest = newest_version(client, NAME)
    assert newest is not None
    assert (int(newest.version), int(ledger_aliases.contest(client, NAME).challenger.version)) == (11, 11)
    crown(client, NAME, "11")
    assert {version for version, stage in tags(client).items() if stage == "Production"} == {11}
    assert {version for version, stage in tags(client).items() if stage == "Archived"} == {9}


def test_an_alias_or_a_model_that_is_not_there_is_no_version(client: MlflowClient) -> None:
    assert (version_of(client, NAME, CHAMPION), newest_version(client, NAME)) == (None, None)
    trained(client)
    assert version_of(client, NAME, CHAMPION) is None


def test_the_champion_before_has_an_alias_of_its_own(client: MlflowClient) -> None:
    trained(client)
    client.set_registered_model_alias(NAME, CHAMPION, "2")
    ledger_aliases.settle(client, NAME, previous=1)
    assert aliases(client) == {CHALLENGER: 3, CHAMPION: 2, ledger_aliases.PREVIOUS: 1}
    ledger_aliases.settle(cast(MlflowClient, Dying(client, writes=0)), NAME, 1)
    ledger_aliases.settle(client, NAME, previous=None)
    assert aliases(client) == {CHALLENGER: 3, CHAMPION: 2}


def test_a_contest_is_refused_where_another_challenger_was_meant(client: MlflowClient) -> None:
    trained(client)
    assert int(ledger_aliases.contest(client, NAME, 3).challenger.version) == 3
    with pytest.raises(
        ledger_aliases.NoChallenger, match=r"version 2 is not .* 3 is\n.*version 2 .* alias challenger"
    ):
        ledger_aliases.contest(client, NAME, 2)


def test_what_was_never_registered_and_what_was_deleted_is_named(client: MlflowClient) -> None:
    with pytest.raises(ledger_aliases.NoModel, match=r"term_deposit has no registered model\n.*training\.run"):
        ledger_aliases.require_model(client, NAME)
    trained(client)
    client.delete_model_version(NAME, "2")
    assert [ledger_aliases.exists(client, NAME, version) for version in (1, 2, 3)] == [True, False, True]
    with pytest.raises(ledger_aliases.NoModel, match="term_deposit has no version 2 any more"):
        ledger_aliases.version(client, NAME, 2)
