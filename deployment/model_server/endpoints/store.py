"""Endpoints on disk: one JSON file, replaced atomically, so that a crash leaves the old or the new one."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from deployment.model_server.endpoints.endpoint import Endpoint
from lakehouse.errors import LakehouseError

_ENDPOINTS = TypeAdapter(dict[str, Endpoint])


class StateUnreadable(LakehouseError):
    """The file of the endpoints is damaged."""

    @classmethod
    def at(cls, path: Path, reason: str = "") -> "StateUnreadable":
        return cls(
            f"the endpoints in {path} cannot be read{reason and f': {reason}'}",
            hint="Correct the file, or delete it and create the endpoints again.",
        )


class EndpointStore:
    """Stores the endpoints of one server by name."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Endpoint]:
        """All stored endpoints; empty before the first write.

        Raises:
            StateUnreadable: the file is not valid, or a route names an unknown entity.
        """
        try:
            endpoints = _ENDPOINTS.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except ValidationError as err:
            raise StateUnreadable.at(self._path) from err
        for endpoint in endpoints.values():
            if reason := _inconsistency(endpoint):
                raise StateUnreadable.at(self._path, reason)
        return endpoints

    def write(self, endpoints: dict[str, Endpoint]) -> None:
        """Replace all stored endpoints, atomically and durably."""
        text = json.dumps({name: asdict(endpoint) for name, endpoint in endpoints.items()}, indent=1)
        replace_file(self._path, text)


def _inconsistency(endpoint: Endpoint) -> str:
    """A message if a route leads to an entity that is not served; the types cannot express this."""
    for config in filter(None, (endpoint.active, endpoint.pending)):
        known = [entity.name for entity in config.entities]
        if unknown := [r.served_entity_name for r in config.routes if r.served_entity_name not in known]:
            return f"'{endpoint.name}' has a route to {', '.join(unknown)}, but serves {', '.join(known)}"
    return ""


def replace_file(path: Path, text: str) -> None:
    """Replace a file atomically: write a temporary file next to it, then rename. Only the owner can read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
