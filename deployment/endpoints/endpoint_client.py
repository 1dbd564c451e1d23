"""Client of serving endpoints, on the Databricks SDK, for Databricks and for our model server."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import PermissionDenied, ResourceConflict, Unauthenticated
from databricks.sdk.errors.base import DatabricksError
from databricks.sdk.service.serving import (
    EndpointCoreConfigInput,
    Route,
    ServedEntityInput,
    ServingEndpoint,
    TrafficConfig,
)

from deployment.endpoints.state import (
    SIZE,
    EndpointState,
    Served,
    is_ready,
    served,
    served_models,
    size,
    state,
)
from deployment.endpoints.waiting import USUAL, WaitLimit, find, wait_until_idle, wait_until_ready
from deployment.model_server.http import tls
from lakehouse.errors import LakehouseError

RETRY_SECONDS = 20  # our server is on this machine or near it: after longer failures it is down
RequestJson = dict[str, Any]


class ServingUnreachable(LakehouseError):
    """No server responds at the host."""

    @classmethod
    def at(cls, host: str) -> "ServingUnreachable":
        start = (
            "Start it: python -m deployment.run serve --detach"
            if _is_model_server(host)
            else "Check the host and the network."
        )
        return cls(f"no model server responds at {host}", hint=start)


class ServingRefused(LakehouseError):
    """The serving API rejected a request; the message is that of the API."""


class EndpointServesOtherModel(LakehouseError):
    """An endpoint serves a model of another use case."""

    @classmethod
    def of(cls, endpoint: str, models: list[str], model: str) -> "EndpointServesOtherModel":
        return cls(
            f"the endpoint '{endpoint}' serves {', '.join(models)}, not only {model}",
            hint="The endpoint is left alone. Give the use case a separate one: serving.endpoint in its file. If"
            f" nobody needs {', '.join(models)} any more, delete it: DELETE /api/2.0/serving-endpoints/{endpoint}",
        )


def connect(host: str, token: str | None = None, authority: Path | None = None) -> WorkspaceClient:
    """Client of the serving API at a host.

    Our server (`http://...`) is reached with exactly this host and token; profiles, DATABRICKS_* variables and
    proxies are ignored. For Databricks (`https://...`) a missing token means the SDK's own authentication. An
    `authority`, the PEM file of the certificate's issuer, marks our server over TLS.

    Raises:
        ServingUnreachable: Our server does not respond.
        CertificateUnusable: The authority is not a file with a certificate.
    """
    if not (_is_model_server(host) or authority):
        return WorkspaceClient(host=host, token=token, auth_type="pat" if token else None)
    if authority:
        tls.trusting(authority)
    _check_alive(host, authority)
    Config.attributes()  # the SDK collects them on first use, and finds none on a subclass
    config = _ModelServerConfig(
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
    """Client of the workspace that the SDK finds: the one of the current job, or of a profile.

    Raises:
        ServingRefused: The SDK finds no workspace.
    """
    try:
        return WorkspaceClient()
    except ValueError as err:
        raise ServingRefused(
            str(err), hint="Set DATABRICKS_HOST and DATABRICKS_TOKEN, or configure a profile."
        ) from err


def deploy(
    client: WorkspaceClient, endpoint: str, model: str, version: int, limit: WaitLimit = USUAL
) -> EndpointState:
    """Give one version all traffic of an endpoint, create the endpoint if needed, and wait until it is ready.

    Raises:
        EndpointServesOtherModel: The endpoint serves another model and stays unchanged.
        DeploymentFailed: The version could not be loaded, or not in time; the message has the server's reason.
        ServingRefused: The API rejected the request, for example because another update is in progress.
    """
    return shift(client, endpoint, model, {version: 100}, limit)


def shift(
    client: WorkspaceClient, endpoint: str, model: str, traffic: Mapping[int, int], limit: WaitLimit = USUAL
) -> EndpointState:
    """Split an endpoint's traffic between versions (`{version: per cent}`, sum 100); see `deploy`."""
    with translated_errors(client, endpoint):
        current = wait_until_idle(client, endpoint, limit)
        if current is None:
            client.serving_endpoints.create(endpoint, config=_config(endpoint, model, traffic, SIZE))
        elif (models := served_models(current)) not in ([model], []):
            raise EndpointServesOtherModel.of(endpoint, models, model)
        elif not is_ready(current) or state(current).traffic != dict(traffic):
            config = _config(endpoint, model, traffic, size(current))
            client.serving_endpoints.update_config(
                endpoint, served_entities=config.served_entities, traffic_config=config.traffic_config
            )
        return wait_until_ready(client, endpoint, limit)


def follow(
    client: WorkspaceClient, endpoint: str, model: str, version: int, limit: WaitLimit = USUAL
) -> EndpointState | None:
    """Give one version all traffic of an existing endpoint of the model; return None without an endpoint.

    Raises:
        EndpointServesOtherModel: The endpoint serves another model and stays unchanged.
        DeploymentFailed, ServingRefused: See `deploy`.
    """
    with translated_errors(client, endpoint):
        if find(client, endpoint) is None:
            return None
    return deploy(client, endpoint, model, version, limit)


def served_by(client: WorkspaceClient, endpoint: str) -> Served | None:
    """Models behind an endpoint, with its traffic; None without an endpoint.

    Raises:
        ServingRefused, ServingUnreachable: The API rejects the request, or does not respond.
    """
    with translated_errors(client, endpoint):
        current = find(client, endpoint)
    return None if current is None else served(current)


def served_versions(client: WorkspaceClient, endpoint: str) -> dict[int, int]:
    """Per cent of traffic by model version; empty before the first version is ready.

    Raises:
        ServingRefused: The endpoint does not exist.
    """
    with translated_errors(client, endpoint):
        return state(client.serving_endpoints.get(endpoint)).traffic


def all_endpoints(client: WorkspaceClient) -> list[ServingEndpoint]:
    """List the endpoints of a server.

    Raises:
        ServingRefused: The server rejects the token.
    """
    with translated_errors(client, "*"):
        return list(client.serving_endpoints.list())


def predict(client: WorkspaceClient, endpoint: str, records: list[RequestJson]) -> list[Any]:
    """Predictions for the records, in their order.

    Raises:
        ServingRefused: The records violate the model's contract, or the endpoint is not ready.
    """
    with translated_errors(client, endpoint):
        return client.serving_endpoints.query(endpoint, dataframe_records=records).predictions or []


class _ModelServerConfig(Config):
    def _resolve_host_metadata(self) -> None:
        """Skip the look-up of account and workspace: our server has neither."""


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


def _is_model_server(host: str) -> bool:
    """True for plain HTTP: Databricks always uses TLS, our server only with an authority."""
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
def translated_errors(client: WorkspaceClient, endpoint: str) -> Iterator[None]:
    """Translate errors of the SDK into ours."""
    try:
        yield
    except ResourceConflict as err:
        raise ServingRefused(str(err), hint="Wait for the update in progress to finish, then try again.") from err
    except (PermissionDenied, Unauthenticated) as err:
        raise ServingRefused(
            f"{client.config.host} rejected the token: {err}",
            hint="Set the token of the server: MODEL_SERVER_TOKEN or MODEL_SERVER_TOKEN_FILE; of a workspace: "
            "DATABRICKS_TOKEN.",
        ) from err
    except DatabricksError as err:
        raise ServingRefused(f"endpoint '{endpoint}': {err}") from err
    except (requests.ConnectionError, requests.Timeout, TimeoutError) as err:
        raise ServingUnreachable.at(client.config.host) from err
