"""Files of a registered version, copied to a private folder and verified against the digest in the registry.

The loader reads the verified copy: nobody else can write to its folder.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scoring.digest import DIGEST, digest, is_compiled_python

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


class FilesNotRegistered(Exception):
    """The files of a version have no digest in the registry, or another one."""


def fetch(version: "ModelVersion", folder: Path, *, allow_unverified: bool) -> Path:
    """Copy the files of a version to `folder` through MLflow and verify them.

    Args:
        version: as the registry has it.
        folder: an empty folder to which only this process writes.
        allow_unverified: accept a version without a digest; a version with another digest is always refused.

    Raises:
        FilesNotRegistered: the digest is missing, or differs from that of the files.
    """
    expected = expected_digest(version.tags, allow_unverified=allow_unverified)
    import mlflow.artifacts

    uri = f"models:/{version.name}/{version.version}"
    files = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
    return verified(files, expected)


def expected_digest(tags: Mapping[str, str], *, allow_unverified: bool) -> str | None:
    """The registered digest of a version's files; None accepts any files.

    Raises:
        FilesNotRegistered: the registry has no digest, and unverified versions are not allowed.
    """
    expected = tags.get(DIGEST)
    if expected is None and not allow_unverified:
        raise FilesNotRegistered(
            f"the registry has no tag '{DIGEST}' for it, so its files cannot be verified. Register it with "
            "python -m training.run --use-case NAME, or allow unverified versions: MODEL_SERVER_UNVOUCHED=allow"
        )
    return expected


def verified(files: Path, expected: str | None) -> Path:
    """Delete compiled Python from the copied files and compare their digest.

    Raises:
        FilesNotRegistered: the files have another digest.
    """
    for compiled in [path for path in files.rglob("*") if is_compiled_python(path)]:
        compiled.unlink()
    if expected is not None and (actual := digest(files)) != expected:
        raise FilesNotRegistered(
            f"its files are not the registered ones: their SHA-256 is {actual[:12]}..., and the registry "
            f"has {expected[:12]}..."
        )
    return files
