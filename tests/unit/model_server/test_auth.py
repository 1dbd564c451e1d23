"""The two tokens: permissions, sources, and secrecy in logs and texts."""

import base64
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from deployment.model_server.http.auth import Tokens, TokenUnusable, token_sources
from deployment.model_server.process.json_log import JsonLines, format_for_console, log_as_json, secrets_of
from deployment.model_server.settings import ServerSettings
from lakehouse.settings import ServerAccess, Settings
from tests.unit.model_server import in_process
from tests.unit.model_server.in_process import ONE, ROOT, SCORE, Caller, creating

run_scenario, registry = in_process.run_scenario, in_process.registry
CONTROL, DATA = "c" * 20, "d" * 20
GIVEN = ServerAccess(token=CONTROL, data_token=DATA)


@pytest.fixture
def call_as(run_scenario: Any) -> Any:
    def run(scenario: Any, **limits: Any) -> None:
        async def with_token(call: Caller) -> None:
            owner = Caller(call.app, CONTROL)
            await owner("POST", ROOT, creating("1"))
            await owner.settled()
            await scenario(owner, Caller(call.app, DATA))

        run_scenario(with_token, serving=GIVEN, **limits)

    return run


@pytest.fixture(autouse=True)
def token_files(tmp_path: Path) -> None:
    """An empty token file: `run_scenario` reads it, even if the settings provide the token."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "token").touch(mode=0o600)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", SCORE, ONE, 200),
        ("POST", "/serving-endpoints/e/served-models/m-1/invocations", ONE, 200),
        ("POST", "/invocations", ONE, 200),
        ("GET", "/serving-endpoints/e/ping", None, 200),
        ("GET", "/serving-endpoints/e/openapi", None, 200),
        ("GET", f"{ROOT}/e/openapi", None, 200),
        ("GET", f"{ROOT}/e/metrics", None, 200),
        ("GET", ROOT, None, 200),
        ("GET", f"{ROOT}/e", None, 200),
        ("GET", "/metrics", None, 200),
        ("POST", ROOT, creating("2"), 403),
        ("DELETE", f"{ROOT}/e", None, 403),
        ("PUT", f"{ROOT}/e/config", {}, 403),
        ("PATCH", f"{ROOT}/e/tags", {}, 403),
        ("PUT", f"{ROOT}/e/ai-gateway", {}, 403),
        ("GET", f"{ROOT}/e/served-models/m-1/logs", None, 403),
        ("GET", f"{ROOT}/e/served-models/m-1/build-logs", None, 403),
        ("GET", "/api/2.0/permissions/serving-endpoints/e", None, 403),
        ("DELETE", SCORE, None, 403),
        ("POST", "/serving-endpoints/e/invocations/..", None, 403),
        ("GET", "/anything/else", None, 403),
    ],
)
def test_the_data_token_queries_and_reads_but_changes_nothing(
    call_as: Any, method: str, path: str, body: Any, status: int
) -> None:
    async def scenario(owner: Caller, caller: Caller) -> None:
        response = await caller(method, path, body)
        assert response.status == status
        if status == 403:
            assert "needs the control token" in response.body["message"]
        assert (await owner(method, path, body)).status != 403

    call_as(scenario)


def test_the_response_shows_the_permission_level_of_the_token(call_as: Any) -> None:
    async def scenario(owner: Caller, caller: Caller) -> None:
        levels = [(await each("GET", f"{ROOT}/e")).body["permission_level"] for each in (owner, caller)]
        assert levels == ["CAN_MANAGE", "CAN_QUERY"]

    call_as(scenario)


@pytest.mark.parametrize(
    ("credentials", "status"),
    [(f"token:{DATA}", 200), (f"user:{DATA}", 401), ("token:" + "x" * 20, 403), ("token:", 401)],
)
def test_basic_auth_accepts_the_token_as_password_of_the_user_token(
    call_as: Any, credentials: str, status: int
) -> None:
    async def scenario(_: Caller, caller: Caller) -> None:
        basic = f"Basic {base64.b64encode(credentials.encode()).decode()}"
        assert (await caller("POST", SCORE, ONE, authorization=basic)).status == status
        assert (await caller("POST", SCORE, ONE, authorization="Basic %%%")).status == 401

    call_as(scenario)


def settings(folder: Path, serving: ServerAccess, tracking_uri: str = "sqlite://") -> ServerSettings:
    return ServerSettings(folder, folder / "elsewhere", tracking_uri, serving=serving)


def test_token_sources_name_the_file_or_the_variable(tmp_path: Path) -> None:
    assert token_sources(settings(tmp_path, GIVEN)) == ("MODEL_SERVER_TOKEN", "MODEL_SERVER_DATA_TOKEN")
    named = settings(tmp_path, ServerAccess(data_token_file=tmp_path / "two"))
    assert token_sources(named) == (str(tmp_path / "elsewhere" / "token"), str(tmp_path / "two"))


def test_tokens_are_read_from_the_configured_files(tmp_path: Path) -> None:
    for name, token in (("one", CONTROL), ("two", DATA)):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(token)
    named = settings(tmp_path, ServerAccess(token_file=tmp_path / "one", data_token_file=tmp_path / "two"))
    assert Tokens.of(named) == Tokens(CONTROL.encode(), DATA.encode())
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("token", ["short", "x" * 15, "é" * 20, f" {CONTROL}", ""])
def test_an_invalid_token_in_the_environment_is_refused(tmp_path: Path, token: str) -> None:
    with pytest.raises(TokenUnusable, match="MODEL_SERVER_TOKEN must have at least 16 ASCII characters"):
        Tokens.of(settings(tmp_path, ServerAccess(token=token)))


def test_equal_control_and_data_tokens_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TokenUnusable, match="are the same"):
        Tokens.of(settings(tmp_path, ServerAccess(token=CONTROL, data_token=CONTROL)))


def test_tokens_and_passwords_appear_in_no_repr_and_no_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = settings(tmp_path, GIVEN, "postgresql://mlflow:pass%20word@host/db")
    environment = {"MODEL_SERVER_TOKEN": CONTROL, "MODEL_SERVER_DATA_TOKEN": DATA}
    for shown in (repr(ours), repr(Tokens.of(ours)), repr(Settings.from_environment(environment))):
        assert CONTROL not in shown and DATA not in shown
    assert secrets_of(ours) == [CONTROL, DATA, "pass%20word", ""]
    before = logging.root.handlers[:]
    try:
        log_as_json(ours)
        failure = ValueError(ours.tracking_uri)
        logging.getLogger("test").error("a caller sent %s", DATA, exc_info=failure)
    finally:
        logging.root.handlers[:] = before
    line = capsys.readouterr().err
    assert DATA not in line and "pass%20word" not in line
    assert format_for_console(line) == "error: a caller sent ***\nValueError: postgresql://mlflow:***@host/db"


def test_a_log_line_is_one_json_object() -> None:
    record = logging.LogRecord("deployment.x", logging.WARNING, "", 0, "two\nlines of %s", ("é",), None)
    record.created = 1_700_000_000.25
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line) == {
        "time": f"2023-11-14T22:13:20.{int(record.msecs):03d}Z",
        "level": "warning",
        "logger": "deployment.x",
        "message": "two\nlines of é",
    }
