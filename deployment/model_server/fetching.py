"""The files of a model version, fetched by a process that ends.

MLflow takes 120 MiB and two seconds to say where a version lies; a server that answers by compiled forms needs
neither. What was fetched stays in the state folder, so that a restart serves what was served before, at once and
whether the registry answers or not.
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

LOG = logging.getLogger(__name__)
SECONDS = 600.0


class FetchFailed(Exception):
    """A version's files could not be had; the text says why."""


@dataclass(frozen=True)
class Copies:
    """Versions below one folder; each is there whole or not at all."""

    folder: Path
    tracking_uri: str

    def fetch(self, name: str, version: str) -> Path:
        """The files as the registry has them now.

        Raises:
            FetchFailed: there is no such version, or the registry does not answer.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        neighbour = Path(tempfile.mkdtemp(prefix="fetching-", dir=self.folder))
        try:
            self._download(name, version, neighbour)
            there = self._place(name, version)
            shutil.rmtree(there, ignore_errors=True)
            neighbour.rename(there)
        finally:
            shutil.rmtree(neighbour, ignore_errors=True)
        return there

    def kept(self, name: str, version: str) -> Path | None:
        """The files as an earlier server of this state folder fetched them."""
        there = self._place(name, version)
        return there if there.is_dir() else None

    def keep_only(self, versions: Iterable[tuple[str, str]]) -> None:
        """Delete all others."""
        wanted = {self._place(*version) for version in versions}
        for folder in set(self.folder.glob("*")) - wanted:
            shutil.rmtree(folder, ignore_errors=True)

    def _place(self, name: str, version: str) -> Path:
        return self.folder / f"{quote(name, safe='')}@{quote(version, safe='')}"

    def _download(self, name: str, version: str, folder: Path) -> None:
        # Through a pipe: a tracking URI can hold a password, and arguments are for all to see.
        asked = json.dumps({"uri": self.tracking_uri, "name": name, "version": version, "folder": str(folder)})
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            input=asked, capture_output=True, text=True, check=False, timeout=SECONDS, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        if done.returncode:
            LOG.warning("fetching %s version %s failed:\n%s", name, version, done.stderr)
            raise FetchFailed((done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1])


def main() -> None:
    """Fetch what standard input asks for."""
    asked = json.load(sys.stdin)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow.artifacts

    mlflow.set_tracking_uri(asked["uri"])
    mlflow.artifacts.download_artifacts(f"models:/{asked['name']}/{asked['version']}", dst_path=asked["folder"])


if __name__ == "__main__":
    main()
