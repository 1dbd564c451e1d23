"""Requests over the network that end within seconds; the clients themselves would retry for ten minutes."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

ANSWER_SECONDS = 10
RETRY_SECONDS = 20
_DISCOVERY = "/.well-known/databricks-config"  # the first path that the SDK asks for
_OVERLOADED = 429


class NoAnswer(LakehouseError):
    """A host does not answer HTTP requests."""

    @classmethod
    def of(cls, host: str, reason: object) -> "NoAnswer":
        return cls(
            f"{host} does not respond: {reason}",
            hint=f"Correct the address, or look at network, proxy and VPN: curl --max-time {ANSWER_SECONDS} {host}",
        )


class NotSignedIn(LakehouseError):
    """The SDK finds no credentials for a workspace."""


def require_answer(host: str) -> None:
    """Check that a host answers, with whatever page.

    Raises:
        NoAnswer: the host is unknown, refuses the connection, sends nothing for ANSWER_SECONDS, or is overloaded.
    """
    try:
        status = requests.get(
            host.rstrip("/") + _DISCOVERY, timeout=ANSWER_SECONDS, allow_redirects=False
        ).status_code
    except requests.Timeout as err:
        raise NoAnswer.of(host, f"no answer in {ANSWER_SECONDS} s") from err
    except requests.RequestException as err:
        raise NoAnswer.of(host, _cause(err)) from err
    if status == _OVERLOADED or status >= 500:
        raise NoAnswer.of(host, f"HTTP {status}")


@contextmanager
def workspace_client(host: str) -> Iterator["WorkspaceClient"]:
    """Client of the workspace that the SDK finds, with bounded requests; `host` is that of its configuration.

    Raises:
        NoAnswer: the host does not answer, or no longer.
        NotSignedIn: the SDK finds no credentials.
    """
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.core import Config

    require_answer(host)
    try:
        config = Config(http_timeout_seconds=ANSWER_SECONDS, retry_timeout_seconds=RETRY_SECONDS)
    except ValueError as err:
        raise NotSignedIn(
            f"{host} answers, and the SDK has no credentials for it: {str(err).partition('. Config:')[0]}"
        ) from err
    try:
        yield WorkspaceClient(config=config)
    except (requests.RequestException, TimeoutError) as err:
        raise NoAnswer.of(host, _cause(err)) from err


@contextmanager
def bounded_registry() -> Iterator[None]:
    """MLflow's requests within the block are bounded, unless its variables already bound them."""
    from mlflow import environment_variables as mlflow

    bounds = {
        mlflow.MLFLOW_HTTP_REQUEST_TIMEOUT: ANSWER_SECONDS,
        mlflow.MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT: RETRY_SECONDS,
    }
    with ExitStack() as unset:
        for variable, seconds in bounds.items():
            if not variable.is_set():  # type: ignore[no-untyped-call]
                variable.set(seconds)  # type: ignore[no-untyped-call]
                unset.callback(variable.unset)
        yield


def host_of_registry(uri: str) -> str | None:
    """The host that a registry's address names, itself or by a profile of the SDK; None if there is none."""
    from deployment.commands.doctor.credentials import OfflineConfig

    address = urlsplit(uri)
    if address.scheme in {"http", "https"}:
        return uri
    if (address.scheme or uri) in {"databricks", "databricks-uc"}:
        return OfflineConfig(profile=address.netloc or None).host
    return None


def _cause(err: BaseException) -> str:
    """The system's message of an error, without the layers around it."""
    deepest = err
    while (inner := deepest.__cause__ or deepest.__context__) is not None:
        deepest = inner
    return str(getattr(deepest, "strerror", None) or deepest)
