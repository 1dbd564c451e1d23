"""Load log of each model version: the build logs of the serving API."""

import time
import traceback
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import UTC, datetime

from deployment.model_server.http.foreign_text import without_paths
from deployment.model_server.models.contract_model import LoadedModel
from deployment.model_server.models.loader import LoadVersion

LINES = 200


class LoadLog:
    """Loads model versions and keeps the last lines about each since the server started."""

    def __init__(
        self, load: LoadVersion, now: Callable[[], float] = time.time, loaded: Callable[[], None] = lambda: None
    ) -> None:
        """`loaded` is called after each load."""
        self._load = load
        self._now = now
        self._loaded = loaded
        self._lines: defaultdict[tuple[str, str], deque[str]] = defaultdict(lambda: deque(maxlen=LINES))

    def __call__(self, name: str, version: str) -> LoadedModel:
        """Load a version and log the result.

        Raises:
            ModelNotLoaded: from the load.
        """
        self.add(name, version, "loading")
        try:
            model = self._load(name, version)
        except Exception as err:
            for line in "".join(traceback.format_exception(err)).splitlines():
                self.add(name, version, without_paths(line))
            raise
        self._loaded()
        self.add(name, version, "loaded; passed its golden request or input example, if it has one")
        return model

    def add(self, name: str, version: str, text: str) -> None:
        """Add a line with the current time."""
        moment = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds")
        self._lines[name, version].append(f"{moment} {name} version {version}: {text}")

    def lines(self, name: str, version: str) -> list[str]:
        """The lines of one version, oldest first."""
        return list(self._lines.get((name, version), ()))
