"""The detached server: its settings come through standard input, from `process.serve_detached`."""

import json
import sys

from deployment.model_server.process import serve
from deployment.model_server.settings import ServerSettings
from lakehouse.errors import LakehouseError


def main() -> None:
    """Serve, or say in one line why not."""
    settings = ServerSettings.from_json(json.load(sys.stdin))
    sys.stdin.close()
    try:
        serve(settings)
    except LakehouseError as err:
        sys.exit(f"error: {err}")


if __name__ == "__main__":
    main()
