"""The state machine of an endpoint, and its storage on disk."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment.model_server.endpoints.endpoint import (
    ConfigUpdate,
    DeploymentState,
    Endpoint,
    EndpointConfig,
    Route,
    ServedEntity,
    choose,
)
from deployment.model_server.endpoints.store import EndpointStore, StateUnreadable
from deployment.model_server.http.errors import ApiError


def config(*versions: str) -> EndpointConfig:
    entities = tuple(ServedEntity(f"m-{version}", "m", version) for version in versions)
    share = 100 // len(versions)
    return EndpointConfig(0, entities, tuple(Route(entity.name, share) for entity in entities))


def created() -> Endpoint:
    return Endpoint("e", "id", 5, 5, tags=(("team", "risk"),)).updating(config("1"), now=5)


def states(found: EndpointConfig | None) -> list[DeploymentState]:
    return [entity.deployment for entity in found.entities] if found else []


def test_a_new_endpoint_is_not_ready_until_its_config_is_loaded() -> None:
    endpoint = created()
    assert (endpoint.ready, endpoint.update, endpoint.active) == (False, ConfigUpdate.IN_PROGRESS, None)
    assert states(endpoint.pending) == [DeploymentState.CREATING]
    endpoint = endpoint.updated()
    assert (endpoint.ready, endpoint.update, endpoint.pending) == (True, ConfigUpdate.NOT_UPDATING, None)
    assert endpoint.active and endpoint.active.version == 1


def test_an_update_leaves_the_old_config_active_until_the_new_one_is_loaded() -> None:
    endpoint = created().updated().updating(config("2"), now=9)
    assert endpoint.ready
    assert endpoint.active and endpoint.active.entity("m-1")
    assert endpoint.pending and endpoint.pending.version == 2
    endpoint = endpoint.updated()
    assert endpoint.active and endpoint.active.entity("m-2") and endpoint.last_updated_timestamp == 9


def test_a_failed_update_leaves_the_old_config_active_and_keeps_the_reason() -> None:
    endpoint = created().updated().updating(config("2", "3"), now=9).update_failed({"m-3": "no weights"})
    assert (endpoint.ready, endpoint.update) == (True, ConfigUpdate.UPDATE_FAILED)
    assert states(endpoint.pending) == [DeploymentState.ABORTED, DeploymentState.FAILED]
    assert endpoint.reason() == "m-3: no weights"
    assert endpoint.updating(config("4"), now=10).pending == replace(
        config("4"), version=3, entities=(replace(config("4").entities[0], creation_timestamp=10),)
    )


def test_a_failed_first_config_leaves_nothing_ready() -> None:
    endpoint = created().update_failed({"m-1": "no weights"})
    assert (endpoint.ready, endpoint.recovering, endpoint.reason()) == (False, False, "m-1: no weights")


def test_one_update_at_a_time() -> None:
    for busy in (created(), created().updated().restarted(now=7)):
        with pytest.raises(ApiError) as refused:
            busy.updating(config("2"), now=8)
        assert (refused.value.status, refused.value.code) == (409, "RESOURCE_CONFLICT")


def test_a_restart_recovers_the_active_config_and_continues_the_pending_one() -> None:
    endpoint = created().updated().updating(config("2"), now=9).restarted(now=20)
    assert (endpoint.ready, endpoint.recovering) == (False, True)
    assert (states(endpoint.active), states(endpoint.pending)) == (
        [DeploymentState.RECOVERING],
        [DeploymentState.CREATING],
    )
    endpoint = endpoint.recovered({})
    assert (endpoint.ready, endpoint.update) == (True, ConfigUpdate.IN_PROGRESS)
    assert endpoint.updated().ready


def test_a_partly_recovered_endpoint_is_not_ready_and_can_be_updated() -> None:
    endpoint = created().updated().updating(config("1", "2"), now=6).updated().restarted(now=7)
    endpoint = endpoint.recovered({"m-2": "gone"})
    assert states(endpoint.active) == [DeploymentState.READY, DeploymentState.FAILED]
    assert (endpoint.ready, endpoint.recovering) == (False, False)
    assert endpoint.updating(config("1"), now=8).updated().ready


@pytest.mark.parametrize("step", ["updated", "update_failed"])
def test_a_finished_update_cannot_finish_again(step: str) -> None:
    ended = created().updated()
    with pytest.raises(ValueError, match="no update in progress"):
        ended.updated() if step == "updated" else ended.update_failed({})


@given(st.integers(0, 100), st.floats(0, 100, exclude_max=True))
def test_the_route_follows_the_percentages(share: int, point: float) -> None:
    routes = (Route("a", share), Route("b", 100 - share))
    assert choose(routes, point) == ("a" if point < share else "b")


@pytest.mark.parametrize(
    "endpoint",
    [
        created(),
        created().updated(),
        created().updated().updating(config("2", "3"), now=9),
        created().updated().updating(config("2"), now=9).update_failed({"m-2": "no weights"}),
    ],
)
def test_stored_endpoints_are_read_back_unchanged(tmp_path: Path, endpoint: Endpoint) -> None:
    store = EndpointStore(tmp_path / "state" / "endpoints.json")
    assert store.read() == {}
    store.write({"e": endpoint})
    assert store.read() == {"e": endpoint}
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["endpoints.json"]


@pytest.mark.parametrize("endpoint", [created(), created().updated()])
def test_a_stored_route_to_an_unknown_entity_is_refused_by_name(tmp_path: Path, endpoint: Endpoint) -> None:
    path = tmp_path / "endpoints.json"
    EndpointStore(path).write({"e": endpoint})
    path.write_text(path.read_text().replace('"served_entity_name": "m-1"', '"served_entity_name": "m-7"'))
    with pytest.raises(StateUnreadable, match=r"endpoints\.json.*'e' has a route to m-7, but serves m-1") as refused:
        EndpointStore(path).read()
    assert "Correct the file" in str(refused.value)


SERVING = created().updated().updating(config("2", "3"), now=9)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('{\n "e": {', '{\n "f": {', "'f' holds an endpoint with the name 'e'"),
        ('"traffic_percentage": 100', '"traffic_percentage": 90', "'e' has traffic percentages 90 .* 90, not 100"),
        ('"traffic_percentage": 100', '"traffic_percentage": "100"', "valid integer, got 100"),
        ('"traffic_percentage": 100', '"traffic_percentage": 100, "weight": 1', "Unexpected keyword argument"),
        ('"creation_timestamp": 5', '"creation_timestamp": 5.5', "valid integer, got 5.5"),
        ('"entity_version": "1"', '"entity_version": "champion"', "a version is a number from 1"),
        ('"entity_name": "m"', '"entity_name": "runs:/1"', "registered model name"),
        ('"update": "IN_PROGRESS"', '"update": "NOT_UPDATING"', "is NOT_UPDATING with a pending config"),
        ('"update": "IN_PROGRESS"', '"update": "IN_PROGRESS", "update": "UPDATE_FAILED"', "duplicate key 'update'"),
        ('"name": "m-3"', '"name": "m-2"', "serves two entities with the name m-2"),
    ],
)
def test_a_contradiction_in_the_endpoints_file_is_refused_by_name(
    tmp_path: Path, before: str, after: str, says: str
) -> None:
    path = tmp_path / "endpoints.json"
    EndpointStore(path).write({"e": SERVING})
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(StateUnreadable, match=rf"endpoints\.json cannot be read: .*{says}") as refused:
        EndpointStore(path).read()
    assert "python -m deployment.run serve --use-case" in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", '{"e": {"name": "e"}}', "[]", "null", '{"e": []}', "{}{}", "\0"])
def test_a_damaged_endpoints_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "endpoints.json"
    path.write_text(text)
    with pytest.raises(StateUnreadable, match=r"endpoints\.json"):
        EndpointStore(path).read()
