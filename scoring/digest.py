"""Digest over the files of a version: the registry stores it, and a loader compares it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

DIGEST = "artifacts_sha256"
"""Tag of a registered version: the digest of its files."""

_WRITTEN_BY_READERS = frozenset({"registered_model_meta"})  # MLflow writes it into a folder that it reads


def digest(folder: Path) -> str:
    """SHA-256 over the path and the content of every file below a folder.

    Files that a reader of the version leaves behind do not count: MLflow's note of the owner, and compiled Python.
    """
    total = hashlib.sha256()
    for path in sorted(_files(folder), key=lambda path: path.relative_to(folder).as_posix()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return total.hexdigest()


def is_compiled_python(path: Path) -> bool:
    """True for Python that the interpreter compiled; it would run instead of its source.

    >>> is_compiled_python(Path("code/__pycache__/a.cpython-311.pyc")), is_compiled_python(Path("code/a.py"))
    (True, False)
    """
    return path.suffix in {".pyc", ".pyo"}


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if (
            path.is_file()
            and not is_compiled_python(path)
            and path.relative_to(folder).as_posix() not in _WRITTEN_BY_READERS
        ):
            yield path
