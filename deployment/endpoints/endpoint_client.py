"""Endpoints from the caller's side: written once on the Databricks SDK, for Databricks and for our model server."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import NotFound, PermissionDenied, ResourceConflict, Unauthenticated
from databricks.sdk.errors.base import DatabricksError
from databricks.sdk.service.serving import (
    EndpointCoreConfigInput,
    EndpointStateConfigUpdate,
    Route,
    ServedEntityInput,
    ServingEndpoint,
    ServingEndpointDetailed,
    TrafficConfig,
)

from deployment.endpoints.state import SIZE, EndpointState, models, reasons, settled, size, state, under_way, update
from deployment.model_server.clock import SYSTEM, Clock
from deployment.model_server.http import tls
from lakehouse.errors import LakehouseError

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 1.0
RETRY_SECONDS = 20  # our server is on this machine or near it: what fails for longer is down
RequestJson = dict[str, Any]


class ServingUnreachable(LakehouseError):
    """Nothing answers at the host."""

    @classmethod
    def at(cls, host: str) -> "ServingUnreachable":
        start = (
            "Start it: python -m deployment.run serve --detach"
            if _is_ours(host)
            else "Check the host and the network."
        )
        return cls(f"no model serving answers at {host}", hint=start)


class ServingRefused(LakehouseError):
    """The serving API refused a request; the message is its own."""


class EndpointOfAnother(LakehouseError):
    """An endpoint serves a model that is not the use case's."""

    @classmethod
    def of(cls, endpoint: str, served: list[str], model: str) -> "EndpointOfAnother":
        return cls(
            f"the endpoint '{endpoint}' serves {', '.join(served)}, and not {model} alone",
            hint="Give the use case an endpoint of its own: serving.endpoint in its file.",
        )


class DeploymentFailed(LakehouseError):
    """A version was not brought to serve; what served before still does."""


def connect(host: str, token: str | None = None, authority: Path | None = None) -> WorkspaceClient:
    """A client of the serving API at a host.

    Our server (`http://...`) is reached with exactly this host and token: no profile, no DATABRICKS_* variable and no
    proxy takes part. For Databricks (`https://...`) a missing token means the SDK's own authentication. Our server
    over TLS is told by its `authority`, the PEM file of who signed its certificate.

    Raises:
        ServingUnreachable: our server does not answer.
        CertificateUnusable: the authority is no file with a certificate.
    """
    if not (_is_ours(host) or authority):
        return WorkspaceClient(host=host, token=token, auth_type="pat" if token else None)
    if authority:
        tls.trusting(authority)
    _check_alive(host, authority)
    Config.attributes()  # the class collects them on first use, and a subclass would find none
    config = _OurServer(
        host=host, token=token or "", auth_type="pat", profile="", config_file="", account_id="", workspace_id="",
        discovery_url="", retry_timeout_seconds=RETRY_SECONDS, debug_headers=False, debug_truncate_bytes=96,
        rate_limit=1000,
    )  # fmt: skip
    client = WorkspaceClient(config=config)
    session = client.api_client._api_client._session
    session.trust_env = False
    if authority:
        session.verify = str(authority)
    return client


def workspace() -> WorkspaceClient:
    """A client of the workspace that the SDK finds: that of the job it runs in, or of a profile.

    Raises:
        ServingRefused: it finds none.
    """
    try:
        return WorkspaceClient()
    except ValueError as err:
        raise ServingRefused(str(err), hint="Set DATABRICKS_HOST and DATABRICKS_TOKEN, or a profile.") from err


@dataclass(frozen=True)
class Patience:
    """How long to wait for an endpoint, by which clock."""

    seconds: float = 1200
    clock: Clock = SYSTEM


def deploy(
    client: WorkspaceClient, endpoint: str, model: str, version: int, patience: Patience = Patience()
) -> EndpointState:
    """Give one version all the traffic of an endpoint, creating the endpoint if there is none; wait until it answers.

    Raises:
        DeploymentFailed: it could not be loaded, with the server's reason, or not in time.
        ServingRefused: the API refused, for one because another update is in progress.
    """
    return shift(client, endpoint, model, {version: 100}, patience)


def shift(
    client: WorkspaceClient, endpoint: str, model: str, traffic: Mapping[int, int], patience: Patience = Patience()
) -> EndpointState:
    """Split an endpoint's traffic between versions (`{version: per cent}`, sum 100); see `deploy`."""
    with _translated(client, endpoint):
        current = _at_rest(client, endpoint, patience)
        if current is None:
            client.serving_endpoints.create(endpoint, config=_config(endpoint, model, traffic, SIZE))
        elif not settled(current) or state(current).traffic != dict(traffic) or models(current) != [model]:
            config = _config(endpoint, model, traffic, size(current))
            client.serving_endpoints.update_config(
                endpoint, served_entities=config.served_entities, traffic_config=config.traffic_config
            )
        return _wait(client, endpoint, patience)


def follow(
    client: WorkspaceClient, endpoint: str, model: str, version: int, patience: Patience = Patience()
) -> EndpointState | None:
    """Give one version all the traffic of an endpoint that serves the model already; None where there is no endpoint.

    Raises:
        EndpointOfAnother: it serves another model, and is left alone.
        DeploymentFailed, ServingRefused: as `deploy` says.
    """
    with _translated(client, endpoint):
        found = _find(client, endpoint)
    if found is None:
        return None
    if (served := models(found)) not in ([model], []):
        raise EndpointOfAnother.of(endpoint, served, model)
    return deploy(client, endpoint, model, version, patience)


def served_versions(client: WorkspaceClient, endpoint: str) -> dict[int, int]:
    """The per cent of traffic by model version; empty before the first version answers.

    Raises:
        ServingRefused: there is no such endpoint.
    """
    with _translated(client, endpoint):
        return state(client.serving_endpoints.get(endpoint)).traffic


def all_endpoints(client: WorkspaceClient) -> list[ServingEndpoint]:
    """What a server says of each of its endpoints.

    Raises:
        ServingRefused: the token is not the server's.
    """
    with _translated(client, "*"):
        return list(client.serving_endpoints.list())


def answer(client: WorkspaceClient, endpoint: str, records: list[RequestJson]) -> list[Any]:
    """The predictions for some rows, in their order.

    Raises:
        ServingRefused: the rows break the model's contract, or the endpoint does not answer.
    """
    with _translated(client, endpoint):
        return client.serving_endpoints.query(endpoint, dataframe_records=records).predictions or []


class _OurServer(Config):
    def _resolve_host_metadata(self) -> None:
        """Our server is no account's workspace: there is nothing to find out."""


def _config(
    endpoint: str, model: str, traffic: Mapping[int, int], size: Mapping[str, Any]
) -> EndpointCoreConfigInput:
    names = {version: f"{model.rpartition('.')[2]}-{version}" for version in traffic}
    entities = [
        ServedEntityInput(name=name, entity_name=model, entity_version=str(version), **size)
        for version, name in names.items()
    ]
    routes = [Route(served_model_name=names[version], traffic_percentage=share) for version, share in traffic.items()]
    return EndpointCoreConfigInput(
        name=endpoint, served_entities=entities, traffic_config=TrafficConfig(routes=routes)
    )


def _find(client: WorkspaceClient, endpoint: str) -> ServingEndpointDetailed | None:
    try:
        return client.serving_endpoints.get(endpoint)
    except NotFound:
        return None


def _at_rest(client: WorkspaceClient, endpoint: str, patience: Patience) -> ServingEndpointDetailed | None:
    """The endpoint once nothing is under way, for one because its server has just started; None if there is none.

    How an update ended that is not ours does not matter; the one that follows says how it went.
    """
    deadline = patience.clock.time() + patience.seconds
    found = _find(client, endpoint)
    while found is not None and under_way(found):
        if patience.clock.time() >= deadline:
            raise DeploymentFailed(
                f"the endpoint '{endpoint}' is still busy with an earlier update: {reasons(found)}",
                hint="See what it does: python -m deployment.run status",
            )
        patience.clock.sleep(FIRST_PAUSE)
        found = _find(client, endpoint)
    return found


def _wait(client: WorkspaceClient, endpoint: str, patience: Patience) -> EndpointState:
    clock, pause = patience.clock, FIRST_PAUSE
    deadline = clock.time() + patience.seconds
    while True:
        found = client.serving_endpoints.get(endpoint)
        if settled(found):
            return state(found)
        if update(found) in {EndpointStateConfigUpdate.UPDATE_FAILED, EndpointStateConfigUpdate.UPDATE_CANCELED}:
            raise DeploymentFailed(
                f"the endpoint '{endpoint}' could not be updated: {reasons(found)}",
                hint="What it served before it still serves. Correct the model and deploy again.",
            )
        if clock.time() >= deadline:
            raise DeploymentFailed(
                f"the endpoint '{endpoint}' was not ready in time: {update(found)}, {reasons(found)}",
                hint="It may still become ready: python -m deployment.run status",
            )
        clock.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _is_ours(host: str) -> bool:
    """Databricks is always behind TLS; our server only where an authority is given."""
    return urlsplit(host).scheme == "http"


def _check_alive(host: str, authority: Path | None) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(authority) if authority else True
        try:
            session.get(f"{host.rstrip('/')}/health", timeout=10)
        except requests.RequestException as err:
            raise ServingUnreachable.at(host) from err


@contextmanager
def _translated(client: WorkspaceClient, endpoint: str) -> Iterator[None]:
    """The vendor's errors as ours."""
    try:
        yield
    except ResourceConflict as err:
        raise ServingRefused(str(err), hint="Wait until the update in progress has ended, then try again.") from err
    except (PermissionDenied, Unauthenticated) as err:
        raise ServingRefused(
            f"{client.config.host} refused the token: {err}",
            hint="Give the token that the server has: MODEL_SERVER_TOKEN or MODEL_SERVER_TOKEN_FILE; of a workspace, "
            "DATABRICKS_TOKEN.",
        ) from err
    except DatabricksError as err:
        raise ServingRefused(f"endpoint '{endpoint}': {err}") from err
    except (requests.ConnectionError, requests.Timeout, TimeoutError) as err:
        raise ServingUnreachable.at(client.config.host) from err
