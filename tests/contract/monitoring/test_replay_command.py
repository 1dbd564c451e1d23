"""The command `replay`: each input that it refuses, and a log that nobody writes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import create_autospec

import pyarrow as pa
import pytest
from click.testing import CliRunner
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.serving import (
    AiGatewayConfig,
    AiGatewayInferenceTableConfig,
    ServingEndpointDetailed,
)
from deltalake import write_deltalake

from deployment.commands import use_cases
from deployment.commands.serving import replay
from deployment.endpoints import endpoint_client
from deployment.run import main
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from tests.contract.people import NAME, USE_CASE, Environment, mlflow_restored

Replay = Callable[..., None]


@pytest.fixture
def send(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replay]:
    """Run the command for a second; raises its error."""

    def run(*arguments: str) -> None:
        words = ["replay", "--use-case", NAME, "--seconds", "1", *arguments]
        result = CliRunner().invoke(main, words)
        if result.exception is not None:
            raise result.exception

    settings = replace(environment.settings, server="http://127.0.0.1:1")
    golden = USE_CASE.model_copy(update={"golden_request": {**USE_CASE.golden_request, "owner": True, "job": "cook"}})
    with mlflow_restored():
        monkeypatch.setattr(use_cases, "load", lambda _name, _folder: golden)
        monkeypatch.setattr(Settings, "from_environment", classmethod(lambda _cls: settings))
        yield run


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server with a log, which takes every request."""
    client: Any = create_autospec(WorkspaceClient, instance=True)
    table = AiGatewayInferenceTableConfig(enabled=True, schema_name="logs", table_name_prefix=NAME)
    gateway = AiGatewayConfig(inference_table_config=table)
    client.serving_endpoints.get.return_value = ServingEndpointDetailed(ai_gateway=gateway)
    monkeypatch.setattr(replay, "running", lambda _settings, _name: None)
    monkeypatch.setattr(replay, "client_of", lambda _server: client)
    return client


def write(environment: Environment, rows: int, *columns: str) -> str:
    values = {"height": 1.5, "noise": 0.0, "owner": True, "job": "cook"}
    table = pa.table({name: [values[name]] * rows for name in columns or values})
    schema = pa.schema([pa.field(name, pa.array([values[name]]).type) for name in table.column_names])
    write_deltalake(environment.warehouse / "staging/records", table.cast(schema))
    return "staging.records"


def test_without_a_server_the_next_command_is_named(send: Replay, environment: Environment) -> None:
    with pytest.raises(LakehouseError, match=r"no model server is running\n  Start one: .* serve --use-case"):
        send("--input", write(environment, 1))


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("field", ["owner", "job", "heigth"])
def test_only_a_number_of_the_golden_request_is_shifted(send: Replay, environment: Environment, field: str) -> None:
    with pytest.raises(replay.ReplayRefused, match=f"'{field}' is no number in the golden request"):
        send("--input", write(environment, 1), "--shift", f"{field}=1")


@pytest.mark.usefixtures("server")
def test_a_table_without_the_fields_of_a_request_without_rows_or_without_itself_is_refused(
    send: Replay, environment: Environment
) -> None:
    with pytest.raises(LakehouseError, match=r"staging\.records is not in the warehouse"):
        send("--input", "staging.records")
    with pytest.raises(LakehouseError, match="'records'"):
        send("--input", "records")
    with pytest.raises(replay.ReplayRefused, match=r"staging\.records has no column noise, job, which requests send"):
        send("--input", write(environment, 1, "height", "owner"))


@pytest.mark.usefixtures("server")
def test_an_empty_table_is_refused(send: Replay, environment: Environment) -> None:
    with pytest.raises(replay.ReplayRefused, match=r"staging\.records has no rows to send"):
        send("--input", write(environment, 0))


@pytest.mark.usefixtures("server")
def test_a_log_that_is_not_written_is_reported_with_its_table(
    send: Replay, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(replay, "LOG_SECONDS", 0)
    monkeypatch.setattr(endpoint_client, "predict", lambda _client, _endpoint, batch: sent.append(len(batch)))
    with pytest.raises(replay.ReplayRefused, match=r"has not written its log to logs\.people_payload within 0 s"):
        send("--input", write(environment, 3))
    assert set(sent) == {replay.REQUEST_ROWS}


@pytest.mark.parametrize("shift", ["age", "age=", "age=much", "age=nan", "age=inf", "=2"])
def test_a_shift_that_is_no_field_and_number_is_a_usage_error(shift: str) -> None:
    result = CliRunner().invoke(main, ["replay", "--use-case", NAME, "--input", "a.b", "--shift", shift])
    assert result.exit_code == 2
    assert f"'{shift}' is not FIELD=NUMBER; example: age=20" in result.output
