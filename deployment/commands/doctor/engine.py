"""A Spark Connect server: it responds, has the version of this client, and has Delta."""

from deployment.commands.doctor.finding import Finding, FindingArea, sentence
from lakehouse.errors import LakehouseError
from lakehouse.session import new_session

_AREA = FindingArea("engine")


def check_engine(remote: str | None) -> list[Finding]:
    """Open a session at the server and close it; the server's own tables stay untouched."""
    try:
        session = new_session(remote)
    except LakehouseError as err:
        return [_AREA.error(sentence(err), err.hint or "unset SPARK_REMOTE")]
    try:
        return [_AREA.ok(f"Spark {session.version} with Delta answers at {remote or 'the embedded engine'}.")]
    finally:
        session.stop()


def list_unchecked(remote: str) -> list[Finding]:
    """The server that only a connection can check."""
    return [
        _AREA.unchecked(
            f"Not checked without the network: the Spark Connect server at {remote}, its version and Delta.",
            "python -m deployment.run doctor --target spark --online",
        )
    ]
