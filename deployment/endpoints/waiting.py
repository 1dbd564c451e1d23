"""Waits for an endpoint: until no update is running, and until the last one is in force."""

from dataclasses import dataclass

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound
from databricks.sdk.service.serving import EndpointStateConfigUpdate, ServingEndpointDetailed

from deployment.endpoints.state import EndpointState, is_ready, is_updating, reasons, state, update
from deployment.model_server.clock import SYSTEM, Clock
from lakehouse.errors import LakehouseError

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 1.0


class DeploymentFailed(LakehouseError):
    """A version could not be deployed; the endpoint still serves the earlier one."""


@dataclass(frozen=True)
class WaitLimit:
    """Longest wait for an endpoint, and the clock that measures it."""

    seconds: float = 1200
    clock: Clock = SYSTEM


USUAL = WaitLimit()


def find(client: WorkspaceClient, endpoint: str) -> ServingEndpointDetailed | None:
    """The endpoint; None if there is none of the name."""
    try:
        return client.serving_endpoints.get(endpoint)
    except NotFound:
        return None


def wait_until_idle(client: WorkspaceClient, endpoint: str, limit: WaitLimit) -> ServingEndpointDetailed | None:
    """Wait until no update is running, for example after a server start; return None without an endpoint.

    The result of an earlier update does not matter; the update that follows reports its own.

    Raises:
        DeploymentFailed: The earlier update took longer than the limit.
    """
    deadline = limit.clock.time() + limit.seconds
    current = find(client, endpoint)
    while current is not None and is_updating(current):
        if limit.clock.time() >= deadline:
            raise DeploymentFailed(
                f"the endpoint '{endpoint}' is still busy with an earlier update: {reasons(current)}",
                hint="Show its state: python -m deployment.run status",
            )
        limit.clock.sleep(FIRST_PAUSE)
        current = find(client, endpoint)
    return current


def wait_until_ready(client: WorkspaceClient, endpoint: str, limit: WaitLimit) -> EndpointState:
    """Wait until the last update is in force.

    Raises:
        DeploymentFailed: The update failed, or took longer than the limit.
    """
    clock, pause = limit.clock, FIRST_PAUSE
    deadline = clock.time() + limit.seconds
    while True:
        current = client.serving_endpoints.get(endpoint)
        if is_ready(current):
            return state(current)
        if update(current) in {EndpointStateConfigUpdate.UPDATE_FAILED, EndpointStateConfigUpdate.UPDATE_CANCELED}:
            raise DeploymentFailed(
                f"the endpoint '{endpoint}' could not be updated: {reasons(current)}",
                hint="It still serves the earlier version. Fix the model and deploy again.",
            )
        if clock.time() >= deadline:
            raise DeploymentFailed(
                f"the endpoint '{endpoint}' was not ready in time: {update(current)}, {reasons(current)}",
                hint="It may still become ready: python -m deployment.run status",
            )
        clock.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)
