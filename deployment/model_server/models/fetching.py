"""The files of a model version, fetched from the registry into the state folder.

MLflow takes 120 MiB and three seconds to say where a version lies; a server that answers by compiled forms needs
neither. So it is asked in a process that ends, and not at all where the registry is a file here. What was fetched
stays, so that a restart serves what was served before, at once and whether the registry answers or not.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deployment.model_server.models import local_registry
from lakehouse.settings import PROJECT
from scoring.digest import digest
from scoring.registered_files import FilesNotRegistered, checked, expected_digest, fetch

LOG = logging.getLogger(__name__)
SECONDS = 600.0
FILES = "files"


class FetchFailed(Exception):
    """A version's files could not be had; the text says why."""


@dataclass(frozen=True)
class Copies:
    """Versions below one folder; each is there whole or not at all."""

    folder: Path
    tracking_uri: str
    registry_uri: str
    unvouched: bool

    def fetch(self, name: str, version: str) -> Path:
        """The files as the registry has them now.

        Raises:
            FetchFailed: there is no such version, or the registry does not answer.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        neighbour = Path(tempfile.mkdtemp(prefix="fetching-", dir=self.folder))
        there = self._place(name, version)
        try:
            files = self._copy(name, version, neighbour) or self._download(name, version, neighbour)
            shutil.rmtree(there, ignore_errors=True)
            files.rename(there)
            _note_of(files).replace(_note_of(there))
        finally:
            shutil.rmtree(neighbour, ignore_errors=True)
        return there

    def kept(self, name: str, version: str) -> Path | None:
        """The files as an earlier server of this state folder fetched them; None if they are not whole any more."""
        there = self._place(name, version)
        try:
            return there if digest(there) == self._note(there)["digest"] else None
        except (FileNotFoundError, ValueError, KeyError):
            return None

    def registered(self, files: Path) -> float:
        """When the version of these files was registered, in seconds since 1970."""
        return float(self._note(files)["registered"])

    def keep_only(self, versions: Iterable[tuple[str, str]]) -> None:
        """Delete all others."""
        kept = [self._place(*version) for version in versions]
        wanted = {*kept, *map(_note_of, kept)}
        for stranger in set(self.folder.glob("*")) - wanted:
            shutil.rmtree(stranger) if stranger.is_dir() else stranger.unlink()

    def _note(self, files: Path) -> Mapping[str, Any]:
        note: Mapping[str, Any] = json.loads(_note_of(files).read_text(encoding="utf-8"))
        return note

    def _place(self, name: str, version: str) -> Path:
        return self.folder / f"{quote(name, safe='')}@{quote(version, safe='')}"

    def _copy(self, name: str, version: str, folder: Path) -> Path | None:
        found = local_registry.find(self.registry_uri, name, version)
        if found is None:
            return None
        try:
            expected = expected_digest(found.tags, unvouched=self.unvouched)
            files = checked(Path(shutil.copytree(found.files, folder / FILES)), expected)
        except (FilesNotRegistered, OSError) as err:
            raise FetchFailed(str(err)) from err
        _write_note(files, found.registered)
        return files

    def _download(self, name: str, version: str, folder: Path) -> Path:
        # Through a pipe: a tracking URI can hold a password, and arguments are for all to see.
        asked = {
            "uris": [self.tracking_uri, self.registry_uri], "unvouched": self.unvouched,
            "name": name, "version": version, "folder": str(folder),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            input=json.dumps(asked), capture_output=True, text=True, check=False, timeout=SECONDS,
            cwd=PROJECT,
        )  # fmt: skip
        if done.returncode:
            LOG.warning("fetching %s version %s failed:\n%s", name, version, done.stderr)
            raise FetchFailed((done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1])
        return folder / FILES


def _note_of(files: Path) -> Path:
    """Where it stands when a version was registered, and what its files add up to."""
    return files.with_name(f"{files.name}.json")


def _write_note(files: Path, registered: float) -> None:
    note = {"registered": registered, "digest": digest(files)}
    _note_of(files).write_text(json.dumps(note), encoding="utf-8")


def main() -> None:
    """Fetch what standard input asks for; the last line of standard error says why not."""
    asked = json.load(sys.stdin)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow
    from mlflow.tracking import MlflowClient

    for use, uri in zip((mlflow.set_tracking_uri, mlflow.set_registry_uri), asked["uris"], strict=True):
        use(uri)
    files = Path(asked["folder"]) / FILES
    files.mkdir()
    try:
        version = MlflowClient().get_model_version(asked["name"], asked["version"])
        found = fetch(version, files, unvouched=asked["unvouched"])
    except FilesNotRegistered as err:
        sys.exit(str(err))
    if found != files:
        raise FetchFailed(f"MLflow copied to {found}, and not to {files}")
    _write_note(files, version.creation_timestamp / 1000)


if __name__ == "__main__":
    main()
