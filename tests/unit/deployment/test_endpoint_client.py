"""Deployment and waiting, with a fake of the serving API."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound, PermissionDenied, ResourceConflict, Unauthenticated
from databricks.sdk.service.serving import ServingEndpointDetailed

from deployment.commands.serving.endpoints import endpoints_of
from deployment.endpoints import endpoint_client, waiting
from deployment.endpoints.state import EndpointState
from deployment.model_server.http.tls import CertificateUnusable


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def endpoint(ready: str, update: str, version: int = 1, pending: str | None = None) -> ServingEndpointDetailed:
    def config(number: int, message: str = "") -> dict[str, Any]:
        entity = {
            "name": f"m-{number}", "entity_name": "main.risk.m", "entity_version": str(number),
            "state": {"deployment_state_message": message},
        }  # fmt: skip
        routes = [{"served_model_name": f"m-{number}", "traffic_percentage": 100}]
        return {"config_version": number, "served_entities": [entity], "traffic_config": {"routes": routes}}

    described = {"name": "e", "state": {"ready": ready, "config_update": update}, "config": config(version)}
    return ServingEndpointDetailed.from_dict(
        described | ({"pending_config": config(9, pending)} if pending is not None else {})
    )


class Endpoints:
    """Returns the next description for each `get`; the last one repeats."""

    def __init__(self, *described: ServingEndpointDetailed | Exception) -> None:
        self.described = list(described)
        self.requests: list[str] = []

    def get(self, name: str) -> ServingEndpointDetailed:
        current = self.described.pop(0) if len(self.described) > 1 else self.described[0]
        if isinstance(current, Exception):
            raise current
        return current

    def create(self, name: str, *, config: Any) -> None:
        self.requests.append(f"create {config.served_entities[0].entity_version}")

    def update_config(self, name: str, *, served_entities: Any, traffic_config: Any) -> None:
        shares = [route.traffic_percentage for route in traffic_config.routes]
        self.requests.append(f"update {[(e.name, e.entity_version) for e in served_entities]} {shares}")


READY = endpoint("READY", "NOT_UPDATING", 1)
LOADING = endpoint("READY", "IN_PROGRESS", 1, pending="")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def deploy(clock: FakeClock) -> Callable[..., EndpointState]:
    def run(endpoints: Endpoints, version: int) -> EndpointState:
        config = SimpleNamespace(host="http://127.0.0.1:8080")
        client = cast(WorkspaceClient, SimpleNamespace(serving_endpoints=endpoints, config=config))
        return endpoint_client.deploy(client, "e", "main.risk.m", version, waiting.WaitLimit(60, clock))

    return run


def test_a_missing_endpoint_is_created(deploy: Any) -> None:
    endpoints = Endpoints(NotFound("no such endpoint"), LOADING, LOADING, READY)
    assert deploy(endpoints, 1) == EndpointState("e", 1, {1: 100})
    assert endpoints.requests == ["create 1"]


def test_a_version_already_served_is_not_deployed_again(deploy: Any) -> None:
    endpoints = Endpoints(READY)
    assert deploy(endpoints, 1).traffic == {1: 100}
    assert endpoints.requests == []


def test_another_version_updates_the_endpoint(deploy: Any, clock: FakeClock) -> None:
    endpoints = Endpoints(READY, LOADING, LOADING, endpoint("READY", "NOT_UPDATING", 2))
    assert deploy(endpoints, 2).traffic == {2: 100}
    assert endpoints.requests == ["update [('m-2', '2')] [100]"]
    assert 0 < clock.now < 1


def test_deploy_waits_until_the_endpoint_is_ready(deploy: Any) -> None:
    recovering = endpoint("NOT_READY", "NOT_UPDATING", 2)
    assert deploy(Endpoints(READY, recovering, recovering, endpoint("READY", "NOT_UPDATING", 2)), 2).traffic == {
        2: 100
    }


@pytest.mark.parametrize("update", ["UPDATE_FAILED", "UPDATE_CANCELED"])
def test_a_failed_update_shows_the_reason_of_the_server(deploy: Any, update: str) -> None:
    failed = endpoint("READY", update, 1, pending="no weights")
    with pytest.raises(waiting.DeploymentFailed, match="m-9: no weights"):
        deploy(Endpoints(READY, LOADING, failed), 2)


def test_waiting_ends_after_the_limit(deploy: Any, clock: FakeClock) -> None:
    with pytest.raises(waiting.DeploymentFailed, match="not ready in time"):
        deploy(Endpoints(READY, LOADING), 2)
    assert 60 <= clock.now < 60 + waiting.LONGEST_PAUSE


def test_a_conflict_has_a_hint_to_wait(deploy: Any) -> None:
    with pytest.raises(endpoint_client.ServingRefused, match="Wait for the update in progress to finish"):
        deploy(Endpoints(ResourceConflict("one update at a time")), 2)


@pytest.mark.parametrize("refusal", [PermissionDenied("Invalid access token."), Unauthenticated("Send a token.")])
def test_a_rejected_token_has_a_hint_about_the_token(refusal: Exception) -> None:
    def listed() -> list[Any]:
        raise refusal

    config = SimpleNamespace(host="http://127.0.0.1:8080")
    client = cast(WorkspaceClient, SimpleNamespace(serving_endpoints=SimpleNamespace(list=listed), config=config))
    with pytest.raises(
        endpoint_client.ServingRefused, match=f"8080 rejected the token: {refusal}\n.*MODEL_SERVER_TOKEN"
    ):
        endpoints_of(client)


def test_an_authority_that_is_not_a_certificate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CertificateUnusable, match=r"which is no file.* cannot be trusted"):
        endpoint_client.connect("https://127.0.0.1:8080", "t" * 20, tmp_path / "cert.pem")
