"""The detached server and its supervisor. `process.serve_detached` passes the settings through standard input."""

import json
import sys
from collections.abc import Callable

from deployment.model_server.process.server_process import Listen, serve
from deployment.model_server.process.supervisor import supervise
from deployment.model_server.settings import ServerSettings
from lakehouse.errors import LakehouseError


def main() -> None:
    """Serve, or print why that failed in one line."""
    settings = ServerSettings.from_json(json.load(sys.stdin))
    sys.stdin.close()
    try:
        sys.exit(serve(settings, run=lambda listen: supervise(lambda started: _exit_code_of(listen, started))))
    except LakehouseError as err:
        sys.exit(f"error: {err}")


def _exit_code_of(listen: Listen, started: Callable[[], None]) -> int:
    try:
        return listen(started)
    except LakehouseError as err:
        print(f"error: {err}", file=sys.stderr)  # noqa: T201 - the process ends with this line
        return 1


if __name__ == "__main__":
    main()
