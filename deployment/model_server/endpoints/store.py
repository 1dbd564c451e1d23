"""Endpoints on disk: one JSON file, replaced atomically, so that a crash leaves the old or the new one."""

import json
from dataclasses import asdict
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from deployment.model_server.endpoints.consistency import inconsistency
from deployment.model_server.endpoints.endpoint import Endpoint
from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.request_body import decode
from lakehouse.errors import LakehouseError
from lakehouse.whole_files import replace_file

# Strict: a value of another type is not converted, and a field of a later release is not dropped.
_ENDPOINTS = TypeAdapter(dict[str, Endpoint], config=ConfigDict(strict=True, extra="forbid"))


class StateUnreadable(LakehouseError):
    """The file of the endpoints is damaged."""

    @classmethod
    def at(cls, path: Path, reason: str = "") -> "StateUnreadable":
        return cls(
            f"the endpoints in {path} cannot be read{reason and f': {reason}'}",
            hint="Correct the file, or delete it, start the server and create the endpoints again: "
            "python -m deployment.run serve --use-case USE_CASE",
        )


class EndpointStore:
    """Stores the endpoints of one server by name."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Endpoint]:
        """All stored endpoints; empty before the first write.

        Raises:
            StateUnreadable: the file is not valid, or contradicts itself.
        """
        try:
            text = self._path.read_bytes()
            decode(text)  # refuses duplicate keys
            endpoints = _ENDPOINTS.validate_json(text)
        except FileNotFoundError:
            return {}
        except ApiError as err:
            raise StateUnreadable.at(self._path, err.failed) from err
        except ValidationError as err:
            first = err.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            raise StateUnreadable.at(self._path, f"{place}: {first['msg']}, got {str(first['input'])[:100]}") from err
        if reason := inconsistency(endpoints):
            raise StateUnreadable.at(self._path, reason)
        return endpoints

    def write(self, endpoints: dict[str, Endpoint]) -> None:
        """Replace all stored endpoints, atomically and durably."""
        text = json.dumps({name: asdict(endpoint) for name, endpoint in endpoints.items()}, indent=1)
        replace_file(self._path, text, private=True)
