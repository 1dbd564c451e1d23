"""What `ask` and `status` say of the token, wherever it comes from."""

from pathlib import Path

import pytest

from deployment.commands.ask import curl
from deployment.commands.status import ServerStatus
from deployment.model_server.process.server_process import ServerInfo

PROJECT, GIVEN = Path("/project"), "given by the environment"
AT = ("http://127.0.0.1:1", 7, "1", PROJECT / ".serving" / "token", PROJECT / ".serving" / "server.log")


@pytest.mark.parametrize(
    ("server", "holds"),
    [
        (ServerInfo(*AT), ["curl -s http", 'Bearer $(cat .serving/token)"']),
        (ServerInfo(*AT[:3], Path("/run/secrets/token"), AT[4]), ['Bearer $(cat /run/secrets/token)"']),
        (ServerInfo(*AT, token=GIVEN), ['Bearer $MODEL_SERVER_TOKEN"']),
        (ServerInfo(*AT, authority=PROJECT / "tls.pem"), ["curl -s --cacert tls.pem http"]),
    ],
)
def test_the_command_that_is_shown_has_the_token_and_whom_to_trust(server: ServerInfo, holds: list[str]) -> None:
    command = "\n".join(curl(server, "http://127.0.0.1:1/x", "{}", PROJECT))
    for part in holds:
        assert part in command
    assert "given" not in command


def test_the_status_names_a_token_file_only_where_the_token_is_in_it() -> None:
    assert ServerStatus.of(ServerInfo(*AT), []).token_file == str(AT[3])
    assert ServerStatus.of(ServerInfo(*AT, token=GIVEN), []).token_file is None
