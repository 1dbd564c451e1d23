"""The detached server and its keeper: the settings come through standard input, from `process.serve_detached`."""

import json
import sys
from collections.abc import Callable

from deployment.model_server.process.server_process import serve
from deployment.model_server.process.supervisor import keep
from deployment.model_server.settings import ServerSettings
from lakehouse.errors import LakehouseError


def main() -> None:
    """Serve, or say in one line why not."""
    settings = ServerSettings.from_json(json.load(sys.stdin))
    sys.stdin.close()
    try:
        sys.exit(serve(settings, run=lambda listen: keep(lambda: _told(listen))))
    except LakehouseError as err:
        sys.exit(f"error: {err}")


def _told(listen: Callable[[], int]) -> int:
    try:
        return listen()
    except LakehouseError as err:
        print(f"error: {err}", file=sys.stderr)  # noqa: T201 - the last words of the process
        return 1


if __name__ == "__main__":
    main()
