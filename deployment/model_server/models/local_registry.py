"""Model versions of an MLflow registry in a SQLite file, read without MLflow.

MLflow takes about three seconds to import and to open its store: most of the start of a server. In every other case
(another store, files on another machine, an unknown version) the caller falls back to MLflow.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

SQLITE = "sqlite:////"  # with an absolute path
LOCK_TIMEOUT_SECONDS = 30.0  # to wait for a writer
_VERSION_QUERY = (
    "select creation_time, coalesce(storage_location, source) from model_versions"
    " where name = ? and version = ? and current_stage <> 'Deleted_Internal'"
)
_TAGS_QUERY = "select key, value from model_version_tags where name = ? and version = ?"


@dataclass(frozen=True)
class LocalVersion:
    """A version of a registry on this machine.

    Attributes:
        tags: tags of the version.
        registered: registration time in seconds since 1970.
        files: folder of the files, as recorded in the registry.
    """

    tags: Mapping[str, str]
    registered: float
    files: Path


def find(registry_uri: str, name: str, version: str) -> LocalVersion | None:
    """Find a version whose registry and files are on this machine; None in every other case."""
    path = registry_uri.removeprefix(SQLITE)
    if path == registry_uri or "?" in path or not version.isdecimal():
        return None
    try:
        uri = f"file:/{quote(path)}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_TIMEOUT_SECONDS)) as registry:
            rows = registry.execute(_VERSION_QUERY, (name, int(version))).fetchall()
            tags = dict(registry.execute(_TAGS_QUERY, (name, int(version))).fetchall())
    except sqlite3.Error:  # no file, or the tables of another MLflow release
        return None
    if len(rows) != 1 or (files := _folder(rows[0][1])) is None:
        return None
    return LocalVersion(tags, rows[0][0] / 1000, files)


def _folder(location: str | None) -> Path | None:
    """The folder of a `file:` URI or an absolute path, if it exists.

    >>> _folder("s3://bucket/models/m-1/artifacts"), _folder("models:/m-1"), _folder("file:///")
    (None, None, PosixPath('/'))
    """
    uri = urlsplit(location or "")
    if uri.scheme not in {"", "file"} or uri.netloc or uri.query or uri.fragment:
        return None
    path = Path(unquote(uri.path) if uri.scheme else uri.path)
    return path if path.is_absolute() and path.is_dir() else None
