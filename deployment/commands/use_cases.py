"""Use cases as the commands load them: with an endpoint of their own, and for a rollback from any readable file."""

from pathlib import Path
from typing import Any

import yaml

from lakehouse import console
from lakehouse.errors import LakehouseError
from training.use_case.serving import ServingPlan
from training.use_case.use_case import FOLDER, UseCase, UseCaseRefused, load


class EndpointDeclaredTwice(LakehouseError):
    """Two use cases declare the same endpoint."""

    @classmethod
    def by(cls, endpoint: str, files: list[Path]) -> "EndpointDeclaredTwice":
        return cls(
            f"the endpoint '{endpoint}' is declared by {' and '.join(file.name for file in files)}",
            hint=f"Give each use case an endpoint of its own: serving.endpoint in {' or '.join(map(str, files))}.",
        )


def load_to_serve(name: str) -> UseCase:
    """Load a use case whose endpoint no other use case declares.

    Raises:
        UseCaseRefused: The file is missing or invalid.
        EndpointDeclaredTwice: Another file declares the endpoint too; with one of them invalid, too.
    """
    use_case = load(name, FOLDER)
    endpoint = use_case.serving.endpoint
    others = [file for file in sorted(FOLDER.glob("*.yml")) if file.stem != name]
    if doubles := [file for file in others if declared_endpoint(file) == endpoint]:
        raise EndpointDeclaredTwice.by(endpoint, [FOLDER / f"{name}.yml", *doubles])
    return use_case


def load_for_emergency(name: str) -> UseCase:
    """Load a use case; of an invalid file only its name and endpoint, which a rollback or a freeze needs.

    Raises:
        UseCaseRefused: The file is missing, or declares no endpoint.
    """
    try:
        return load(name, FOLDER)
    except UseCaseRefused as err:
        endpoint = declared_endpoint(FOLDER / f"{name}.yml")
        if endpoint is None:
            raise
        console.detail(f"Only the endpoint is read, since {err.failed}")
        serving = ServingPlan.model_validate({"endpoint": endpoint})
        return UseCase.model_construct(name=name, serving=serving)


def require_known(name: str) -> None:
    """Check that there is such a use case.

    Raises:
        UseCaseRefused: The file is missing or invalid.
    """
    load(name, FOLDER)


def declared_endpoints() -> dict[str, str]:
    """Endpoint of each use case whose file declares one, by the use case's name."""
    declared = {file.stem: declared_endpoint(file) for file in sorted(FOLDER.glob("*.yml"))}
    return {name: endpoint for name, endpoint in declared.items() if endpoint is not None}


def declared_endpoint(file: Path) -> str | None:
    """Endpoint that a use-case file declares, valid or not; None if it cannot be read."""
    try:
        # Not `read_yaml`, which refuses a file for an ambiguous value anywhere in it.
        declared: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        endpoint = declared["serving"]["endpoint"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError):
        return None
    return endpoint if isinstance(endpoint, str) else None
