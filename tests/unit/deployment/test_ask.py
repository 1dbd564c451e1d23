"""The token in the output of `ask` and `status`, from each of its sources."""

from pathlib import Path

import pytest

from deployment.commands.serving.ask import curl
from deployment.commands.serving.status import ServerStatus
from deployment.model_server.process.server_process import ServerInfo

PROJECT, TOKEN = Path("/project"), "secret from the environment"
AT = ("http://127.0.0.1:1", 7, "1", PROJECT / ".serving" / "token", PROJECT / ".serving" / "server.log")


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (ServerInfo(*AT), ["curl -s http", 'Bearer $(cat .serving/token)"']),
        (ServerInfo(*AT[:3], Path("/run/secrets/token"), AT[4]), ['Bearer $(cat /run/secrets/token)"']),
        (ServerInfo(*AT, token=TOKEN), ['Bearer $MODEL_SERVER_TOKEN"']),
        (ServerInfo(*AT, authority=PROJECT / "tls.pem"), ["curl -s --cacert tls.pem http"]),
    ],
)
def test_the_curl_command_refers_to_the_token_and_the_certificate(server: ServerInfo, expected: list[str]) -> None:
    command = "\n".join(curl(server, "http://127.0.0.1:1/x", "{}", PROJECT))
    for text in expected:
        assert text in command
    assert "secret" not in command.replace("/run/secrets", "")


def test_status_shows_a_token_file_only_if_it_holds_the_token() -> None:
    assert ServerStatus.of(ServerInfo(*AT), []).token_file == str(AT[3])
    assert ServerStatus.of(ServerInfo(*AT, token=TOKEN), []).token_file is None
