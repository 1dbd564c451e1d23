"""Endpoint configs on disk: one JSON file, replaced as a whole, so that a crash leaves the old or the new one."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from deployment.model_server.endpoints.endpoint import Endpoint
from lakehouse.errors import LakehouseError

_ENDPOINTS = TypeAdapter(dict[str, Endpoint])


class StateUnreadable(LakehouseError):
    """The file of endpoints is damaged."""

    @classmethod
    def at(cls, path: Path, why: str = "") -> "StateUnreadable":
        return cls(
            f"the endpoints in {path} cannot be read{why and f': {why}'}",
            hint="Correct the file, or delete it and create the endpoints again.",
        )


class EndpointStore:
    """The endpoints of one server, by name."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Endpoint]:
        """All endpoints; none before the first was written.

        Raises:
            StateUnreadable: the file is there, and is not what `write` makes of endpoints that add up.
        """
        try:
            endpoints = _ENDPOINTS.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except ValidationError as err:
            raise StateUnreadable.at(self._path) from err
        for endpoint in endpoints.values():
            if why := _amiss(endpoint):
                raise StateUnreadable.at(self._path, why)
        return endpoints

    def write(self, endpoints: dict[str, Endpoint]) -> None:
        """Replace all of them, atomically and durably."""
        text = json.dumps({name: asdict(endpoint) for name, endpoint in endpoints.items()}, indent=1)
        replace_file(self._path, text)


def _amiss(endpoint: Endpoint) -> str:
    """What the types do not say: a route leads to an entity that is served."""
    for config in filter(None, (endpoint.active, endpoint.pending)):
        known = [entity.name for entity in config.entities]
        if strangers := [r.served_entity_name for r in config.routes if r.served_entity_name not in known]:
            return f"'{endpoint.name}' has a route to {', '.join(strangers)}, and serves {', '.join(known)}"
    return ""


def replace_file(path: Path, text: str) -> None:
    """Write a file that only its owner reads, through a neighbour that takes its place when it is complete."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    neighbour = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(neighbour, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    neighbour.replace(path)
