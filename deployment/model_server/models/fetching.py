"""Cache of the files of model versions, fetched from the registry into the state folder.

MLflow needs 120 MiB and three seconds to locate a version. Compiled models need no MLflow, so a separate process runs
it, and a registry in a local file is read without it. The cache lets a restarted server load its versions at once,
even if the registry is down.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, ValidationError

from deployment.model_server.models import local_registry
from lakehouse.settings import PROJECT
from scoring.digest import digest
from scoring.registered_files import FilesNotRegistered, expected_digest, fetch, verified

LOG = logging.getLogger(__name__)
FETCH_TIMEOUT_SECONDS = 600.0
FILES = "files"


class FetchFailed(Exception):
    """The files of a version could not be fetched; the message is the reason."""


@dataclass(frozen=True)
class VersionCache:
    """Files of versions below one folder. Each version is either complete or absent."""

    folder: Path
    tracking_uri: str
    registry_uri: str
    allow_unverified: bool

    def fetch(self, name: str, version: str) -> Path:
        """Fetch the current files of a version from the registry.

        Raises:
            FetchFailed: the version is unknown, its files are not the registered ones, or the registry is down.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix="fetching-", dir=self.folder))
        target = self._folder_of(name, version)
        try:
            files = self._copy(name, version, temporary) or self._download(name, version, temporary)
            shutil.rmtree(target, ignore_errors=True)
            files.rename(target)
            _note_path(files).replace(_note_path(target))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return target

    def cached(self, name: str, version: str) -> Path | None:
        """The files that an earlier server fetched; None if they are missing or incomplete."""
        files = self._folder_of(name, version)
        try:
            return files if digest(files) == self._note(files).digest else None
        except FileNotFoundError:
            return None
        except ValidationError as err:
            LOG.warning(
                "%s is not the note of a version, whose files are fetched again: %s",
                _note_path(files), err.errors(include_url=False)[0]["msg"],
            )  # fmt: skip
            return None

    def registered_at(self, files: Path) -> float:
        """Registration time of the version with these files, in seconds since 1970."""
        return self._note(files).registered

    def keep_only(self, versions: Iterable[tuple[str, str]]) -> None:
        """Delete all other versions from the cache."""
        folders = [self._folder_of(*version) for version in versions]
        for path in set(self.folder.glob("*")) - {*folders, *map(_note_path, folders)}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _note(self, files: Path) -> "_Note":
        return _Note.model_validate_json(_note_path(files).read_bytes())

    def _folder_of(self, name: str, version: str) -> Path:
        return self.folder / f"{quote(name, safe='')}@{quote(version, safe='')}"

    def _copy(self, name: str, version: str, folder: Path) -> Path | None:
        local = local_registry.find(self.registry_uri, name, version)
        if local is None:
            return None
        try:
            expected = expected_digest(local.tags, allow_unverified=self.allow_unverified)
            files = verified(Path(shutil.copytree(local.files, folder / FILES)), expected)
        except (FilesNotRegistered, OSError) as err:
            raise FetchFailed(str(err)) from err
        _write_note(files, local.registered)
        return files

    def _download(self, name: str, version: str, folder: Path) -> Path:
        # Through a pipe: a tracking URI can contain a password, and every user can see arguments.
        request = {
            "uris": [self.tracking_uri, self.registry_uri], "allow_unverified": self.allow_unverified,
            "name": name, "version": version, "folder": str(folder),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            input=json.dumps(request), capture_output=True, text=True, check=False, timeout=FETCH_TIMEOUT_SECONDS,
            cwd=PROJECT,
        )  # fmt: skip
        if done.returncode:
            LOG.warning("fetching %s version %s failed:\n%s", name, version, done.stderr)
            raise FetchFailed(
                (done.stderr.strip().splitlines() or [f"fetching ended with exit code {done.returncode}"])[-1]
            )
        return folder / FILES


class _Note(BaseModel):
    """Registration time in seconds since 1970, and digest of the files of a version."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    registered: float
    digest: str


def _note_path(files: Path) -> Path:
    """The file with registration time and digest of a version."""
    return files.with_name(f"{files.name}.json")


def _write_note(files: Path, registered: float) -> None:
    note = {"registered": registered, "digest": digest(files)}
    _note_path(files).write_text(json.dumps(note), encoding="utf-8")


def main() -> None:
    """Fetch the version named on standard input. On failure, the last line of standard error is the reason."""
    request = json.load(sys.stdin)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow
    from mlflow.tracking import MlflowClient

    for use, uri in zip((mlflow.set_tracking_uri, mlflow.set_registry_uri), request["uris"], strict=True):
        use(uri)
    files = Path(request["folder"]) / FILES
    files.mkdir()
    try:
        version = MlflowClient().get_model_version(request["name"], request["version"])
        fetched = fetch(version, files, allow_unverified=request["allow_unverified"])
    except FilesNotRegistered as err:
        sys.exit(str(err))
    if fetched != files:
        raise FetchFailed(f"MLflow copied the files to {fetched} instead of {files}")
    _write_note(files, version.creation_timestamp / 1000)


if __name__ == "__main__":
    main()
