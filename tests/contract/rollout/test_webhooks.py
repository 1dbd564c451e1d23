"""`follow` with webhooks of a real MLflow server, and what it does without them."""

import http.client
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from mlflow.webhooks.delivery import _generate_hmac_signature as signed

from deployment.commands.rollouts.follow import Follower, follow
from deployment.commands.rollouts.webhook_receiver import ReceiverNotStarted, is_genuine, receiving
from deployment.commands.rollouts.webhook_registration import WebhookAddress, woken_by_webhooks
from lakehouse.settings import Settings
from tests.contract.mlflow_server import DEVELOPMENT, mlflow_server
from tests.contract.people import mlflow_restored
from tests.contract.rollout.golden_versions import GOOD, NAME, RolloutRegistry
from tests.ports import free_port


def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(3_600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def post(listen: tuple[str, int], body: bytes, **headers: str) -> int:
    connection = http.client.HTTPConnection(*listen, timeout=10)
    try:
        connection.request("POST", "/", body, {name.replace("_", "-"): value for name, value in headers.items()})
        return connection.getresponse().status
    finally:
        connection.close()


@contextmanager
def following(settings: Settings, address: WebhookAddress, looks: list[float], lines: list[str]) -> Iterator[None]:
    """A follower that would look again in an hour."""

    class Looking(Follower):
        def look(self) -> None:
            looks.append(time.monotonic())

    follower = Looking(NAME, settings, 3_600.0, lines.append)
    with woken_by_webhooks(address, NAME, settings, follower.woken, lines.append):
        thread = threading.Thread(target=follower.run)
        thread.start()
        try:
            eventually(lambda: len(looks) == 1)
            yield
        finally:
            follower.ended.set()
            follower.woken.set()
            thread.join()


@contextmanager
def sigterm_restored() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: None)  # until `follow` has its own
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def _terminate_once(condition: Callable[[], bool]) -> None:
    try:
        eventually(condition)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)  # also after a failure: `follow` would wait for an hour


def test_a_moved_champion_alias_wakes_follow_and_nothing_else_does(tmp_path: Path) -> None:
    registry = RolloutRegistry.built(tmp_path, [GOOD, GOOD], {})
    database = Path(registry.uri.removeprefix("sqlite:///"))
    listen = ("127.0.0.1", free_port())
    address = WebhookAddress(f"http://127.0.0.1:{listen[1]}/mlflow", listen)
    looks: list[float] = []
    lines: list[str] = []
    with mlflow_restored(), mlflow_server(database, tmp_path, **DEVELOPMENT) as url:
        settings, client = replace(registry.settings, tracking_uri=url, registry_uri=url), MlflowClient(url, url)
        left = client.create_webhook("other", address.url, ["registered_model.created"])  # of somebody else
        with following(settings, address, looks, lines):
            assert [each.name for each in client.list_webhooks()].count("other") == 1
            assert len(client.list_webhooks()) == 2
            client.set_registered_model_alias(NAME, "champion", "2")
            eventually(lambda: len(looks) == 2)
            client.set_registered_model_alias(NAME, "challenger", "1")
            assert post(listen, b'{"data": {"name": "rolled", "alias": "champion"}}') == 401
            client.delete_registered_model_alias(NAME, "champion")
            eventually(lambda: len(looks) == 3)
        assert [each.webhook_id for each in client.list_webhooks()] == [left.webhook_id], "it is deregistered"
        # A killed process leaves its webhook behind: the next one replaces it.
        with (
            following(settings, address, looks := [], []),
            following(settings, replace(address, listen=("127.0.0.1", free_port())), [], []),
        ):
            assert len(client.list_webhooks()) == 2
        # SIGTERM during its pause.
        terminated = threading.Thread(target=lambda: _terminate_once(lambda: len(client.list_webhooks()) == 2))
        with sigterm_restored(), pytest.raises(SystemExit):
            terminated.start()
            follow(NAME, settings, 3_600.0, address.url, listen)
        terminated.join()
        assert [each.webhook_id for each in client.list_webhooks()] == [left.webhook_id]
    assert lines == [f"the registry tells of a new champion at {address.url}", f"following the champion of {NAME}"]


def test_a_registry_without_webhooks_is_told_of_in_one_line_and_looked_at(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path, None, "sqlite:///unused.db", "sqlite:///unused.db", "")
    lines: list[str] = []
    with following(settings, WebhookAddress("https://hooks.example.org", ("127.0.0.1", free_port())), [], lines):
        pass
    assert lines == [
        "no webhook, only looks at the alias: only a registry behind an MLflow server sends webhooks",
        f"following the champion of {NAME}",
    ]


def test_what_is_not_signed_now_with_the_secret_is_refused(tmp_path: Path) -> None:
    listen, woken = ("127.0.0.1", free_port()), threading.Event()
    now, body = time.time(), b'{"data": {}}'

    def headers(key: str = "s", at: float = now) -> dict[str, Any]:
        signature = signed(key, "d", str(int(at)), body.decode())
        return {"X_MLflow_Delivery_Id": "d", "X_MLflow_Timestamp": str(int(at)), "X_MLflow_Signature": signature}

    def genuine(found: dict[str, Any], of: bytes = body) -> bool:
        return is_genuine("s", {name.replace("_", "-"): value for name, value in found.items()}, of, now)

    assert genuine(headers())
    assert not genuine(headers("another"))
    assert not genuine(headers(at=now - 400)), "an old one, sent again"
    assert not genuine(headers(), b'{"data": {"x": 1}}')
    assert not genuine({**headers(), "X_MLflow_Signature": "v1,\u00e9"})
    assert not genuine({})
    with receiving(listen, "s", lambda _: True, woken):
        with (
            pytest.raises(ReceiverNotStarted, match="--webhook-listen"),
            receiving(listen, "s", lambda _: True, woken),
        ):
            pass
        assert post(listen, b"x" * 70_000) == 413
        assert (post(listen, body), woken.is_set()) == (401, False)
        assert (post(listen, body, **headers()), woken.is_set()) == (204, True)
