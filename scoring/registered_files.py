"""Files of a model version, in a folder of our own, and held to the digest that the registry vouches for.

A copy, because what was checked must be what is loaded: nobody else writes to the folder.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scoring.digest import DIGEST, digest, is_compiled

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


class FilesNotRegistered(Exception):
    """The registry does not vouch for the files of a version."""


def fetch(version: "ModelVersion", folder: Path, *, unvouched: bool) -> Path:
    """Let MLflow copy the files of a version to `folder`, and pass them only as the registry knows them.

    Args:
        version: as the registry has it.
        folder: an empty one that only this process writes to.
        unvouched: let a version pass that has no digest; one that has another digest never passes.

    Raises:
        NotVouched: the digest is missing, or is not that of the files.
    """
    expected = expected_digest(version.tags, unvouched=unvouched)
    import mlflow.artifacts

    uri = f"models:/{version.name}/{version.version}"
    files = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
    return checked(files, expected)


def expected_digest(tags: Mapping[str, str], *, unvouched: bool) -> str | None:
    """What a version's files must add up to; None where any will do.

    Raises:
        NotVouched: the registry does not say, and it must.
    """
    expected = tags.get(DIGEST)
    if expected is None and not unvouched:
        raise FilesNotRegistered(
            f"the registry has no tag '{DIGEST}' for it, so nobody vouches for its files. Register it with "
            "python -m training.run, or allow such versions: MODEL_SERVER_UNVOUCHED=allow"
        )
    return expected


def checked(files: Path, expected: str | None) -> Path:
    """The copied files, less what was compiled of them.

    Raises:
        NotVouched: they add up to something else.
    """
    for compiled in [path for path in files.rglob("*") if is_compiled(path)]:
        compiled.unlink()
    if expected is not None and (found := digest(files)) != expected:
        raise FilesNotRegistered(
            f"its files are not those that were registered: their SHA-256 is {found[:12]}..., and the registry "
            f"vouches for {expected[:12]}..."
        )
    return files
