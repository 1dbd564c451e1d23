"""Registration of a webhook that tells of the champion alias, for as long as somebody listens."""

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from deployment.commands.rollouts.webhook_receiver import is_about, receiving
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from training.registry.versions import CHAMPION
from training.tracking import tracking

EVENTS = [
    WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, each) for each in (WebhookAction.CREATED, WebhookAction.DELETED)
]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class WebhookAddress:
    """Addresses of the receiver.

    Attributes:
        url: address at which MLflow reaches it: of a proxy that ends TLS, since MLflow sends to HTTPS only.
        listen: host and port at which it listens.
    """

    url: str
    listen: tuple[str, int]


@contextmanager
def woken_by_webhooks(
    address: WebhookAddress, name: str, settings: Settings, wake: threading.Event, tell: Tell
) -> Iterator[None]:
    """Wake a watcher whenever the champion alias of a model moves, while the block runs.

    A registry without webhooks is told of in one line; then only the watcher's own looks remain.

    Raises:
        ReceiverNotStarted: The address cannot be listened at.
    """
    secret, model = secrets.token_urlsafe(32), settings.registered_model(name)
    with receiving(address.listen, secret, lambda body: is_about(body, model, CHAMPION), wake):
        identifier, refused = "", False
        try:
            try:
                identifier = _registered(address.url, model, secret, settings)
                tell(f"the registry tells of a new champion at {address.url}")
            except LakehouseError as err:
                refused = True
                tell(f"no webhook, only looks at the alias: {err.failed}")
            yield
        finally:
            if not refused:  # SIGTERM may arrive before the registry has answered with the identifier
                _deregister(identifier, _name(model, address.url), settings, tell)


def _registered(url: str, model: str, secret: str, settings: Settings) -> str:
    """Identifier of a new webhook; one that an earlier, killed process left behind is deleted."""
    if not settings.registry_uri.startswith(("http://", "https://")):
        raise LakehouseError("only a registry behind an MLflow server sends webhooks")
    with tracking(settings) as client:
        name = _name(model, url)
        try:
            for identifier in _named(client, name):
                client.delete_webhook(identifier)
            told = f"Tells `follow` of the champion of {model}"
            return str(client.create_webhook(name, url, [*EVENTS], told, secret).webhook_id)
        except NotImplementedError as err:
            raise LakehouseError(f"the registry sends none ({err})") from err
        except MlflowException as err:
            raise LakehouseError(f"the registry refuses it: {err.message}") from err


def _name(model: str, url: str) -> str:
    return f"follow-{hashlib.sha256(f'{model} {url}'.encode()).hexdigest()[:16]}"


def _named(client: MlflowClient, name: str) -> list[str]:
    found, page = list[str](), None
    while True:
        webhooks = client.list_webhooks(max_results=100, page_token=page)
        found += [str(each.webhook_id) for each in webhooks if each.name == name]
        page = webhooks.token
        if not page:
            return found


def _deregister(identifier: str, name: str, settings: Settings, tell: Tell) -> None:
    """Delete a webhook; without its identifier, the one of the name."""
    try:
        with tracking(settings) as client:
            for each in [identifier] if identifier else _named(client, name):
                client.delete_webhook(each)
    except LakehouseError as err:
        tell(f"the webhook {identifier or name} stays in the registry: {err.failed}")
