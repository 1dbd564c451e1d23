"""A version of a registry that is a SQLite file, read without MLflow.

MLflow takes some three seconds to be imported and to open its store, which was most of a server's first start.
Whatever is not as expected here is left to it: another store, files elsewhere, a version that is not there.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

SQLITE = "sqlite:////"  # of an absolute path
SECONDS = 30.0  # to wait for whoever writes
_FOUND = (
    "select creation_time, coalesce(storage_location, source) from model_versions"
    " where name = ? and version = ? and current_stage <> 'Deleted_Internal'"
)
_TAGS = "select key, value from model_version_tags where name = ? and version = ?"


@dataclass(frozen=True)
class LocalVersion:
    """A version of a registry on this machine.

    Attributes:
        tags: as the registry has them.
        registered: in seconds since 1970.
        files: the folder that the registry says they lie in.
    """

    tags: Mapping[str, str]
    registered: float
    files: Path


def find(registry_uri: str, name: str, version: str) -> LocalVersion | None:
    """The version, where the registry and the files are on this machine; else None."""
    path = registry_uri.removeprefix(SQLITE)
    if path == registry_uri or "?" in path or not version.isdecimal():
        return None
    try:
        uri = f"file:/{quote(path)}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=SECONDS)) as registry:
            rows = registry.execute(_FOUND, (name, int(version))).fetchall()
            tags = dict(registry.execute(_TAGS, (name, int(version))).fetchall())
    except sqlite3.Error:  # no file, or tables of another MLflow
        return None
    if len(rows) != 1 or (files := _folder(rows[0][1])) is None:
        return None
    return LocalVersion(tags, rows[0][0] / 1000, files)


def _folder(location: str | None) -> Path | None:
    """The folder of a `file:` URI or an absolute path, if it is there.

    >>> _folder("s3://bucket/models/m-1/artifacts"), _folder("models:/m-1"), _folder("file:///")
    (None, None, PosixPath('/'))
    """
    said = urlsplit(location or "")
    if said.scheme not in {"", "file"} or said.netloc or said.query or said.fragment:
        return None
    path = Path(unquote(said.path) if said.scheme else said.path)
    return path if path.is_absolute() and path.is_dir() else None
