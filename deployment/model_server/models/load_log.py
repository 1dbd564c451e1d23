"""What happened to each model version that was asked for: the build logs of the API."""

import time
import traceback
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import UTC, datetime

from deployment.model_server.models.loader import Load, LoadedModel

LINES = 200


class LoadLog:
    """The last lines of each model version since the server started; loads through it are written down."""

    def __init__(self, load: Load, now: Callable[[], float] = time.time) -> None:
        self._load = load
        self._now = now
        self._lines: defaultdict[tuple[str, str], deque[str]] = defaultdict(lambda: deque(maxlen=LINES))

    def __call__(self, name: str, version: str) -> LoadedModel:
        """Load a version, and say how that went.

        Raises:
            ModelNotLoaded: as the load did.
        """
        self.note(name, version, "loading")
        try:
            model = self._load(name, version)
        except Exception as err:
            for line in "".join(traceback.format_exception(err)).splitlines():
                self.note(name, version, line)
            raise
        self.note(name, version, "loaded, and it answered its golden request or example where it has one")
        return model

    def note(self, name: str, version: str, text: str) -> None:
        """Write one line under the time it is now."""
        moment = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds")
        self._lines[name, version].append(f"{moment} {name} version {version}: {text}")

    def lines(self, name: str, version: str) -> list[str]:
        """What was written of one version, oldest first."""
        return list(self._lines.get((name, version), ()))
