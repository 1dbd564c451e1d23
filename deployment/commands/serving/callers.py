"""`add-caller` and `remove-caller`: callers of the model server with a token of their own."""

from collections.abc import Sequence

from deployment.model_server.http import callers_file
from deployment.model_server.settings import ServerSettings
from lakehouse import console
from lakehouse.settings import Settings


def add(name: str, rate: float | None, burst: int | None, endpoints: Sequence[str], settings: Settings) -> None:
    """Add a caller and print its token, which is shown only once.

    Raises:
        CallersUnusable: the name is wrong or taken, or the file of the callers is damaged.
    """
    path = ServerSettings.of(settings).callers_file
    token = callers_file.add(path, name, rate, burst, list(endpoints))
    console.detail(f"Added {name} to {path}; a running server knows it within a second. Keep its token, shown once:")
    console.verbatim(token)


def remove(name: str, settings: Settings) -> None:
    """Remove a caller: a running server refuses its token within a second.

    Raises:
        CallersUnusable: no caller has this name, or the file of the callers is damaged.
    """
    path = ServerSettings.of(settings).callers_file
    callers_file.remove(path, name)
    console.detail(f"Removed {name} from {path}; a running server refuses its token within a second")
