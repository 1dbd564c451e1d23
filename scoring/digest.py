"""The files of a version in one number: the registry keeps it, and who loads the version compares."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

DIGEST = "artifacts.sha256"
"""The tag of a version that vouches for its files."""

_MADE_BY_READING = frozenset({"registered_model_meta"})  # MLflow writes it into a folder that it reads


def digest(folder: Path) -> str:
    """SHA-256 over the path and the content of every file below a folder.

    What reading a version leaves behind does not count: MLflow's note of whose files they are, and compiled Python.
    """
    total = hashlib.sha256()
    for path in sorted(_files(folder), key=lambda path: path.relative_to(folder).as_posix()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return total.hexdigest()


def is_compiled(path: Path) -> bool:
    """Python that the interpreter compiled; it would run in place of the source beside it.

    >>> is_compiled(Path("code/__pycache__/a.cpython-311.pyc")), is_compiled(Path("code/a.py"))
    (True, False)
    """
    return path.suffix in {".pyc", ".pyo"}


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not is_compiled(path) and path.relative_to(folder).as_posix() not in _MADE_BY_READING:
            yield path
