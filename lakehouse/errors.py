"""The base class of this project's errors."""

from difflib import get_close_matches


class LakehouseError(Exception):
    """An expected error: the failure with its values, and a hint with the next command.

    Commands catch this class, print it without a traceback and exit with 1. Any other exception is a defect.
    """

    def __init__(self, failed: str, *, hint: str | None = None) -> None:
        self.failed = failed
        self.hint = hint
        super().__init__(failed if hint is None else f"{failed}\n  {hint}")


def first_line(reason: Exception | str) -> str:
    """First line of an engine's error; a Spark Connect client has the server's backtrace below it.

    >>> first_line(ValueError("[NO_SUCH_CATALOG] no catalog.\\n\\nJVM stacktrace: ..."))
    '[NO_SUCH_CATALOG] no catalog'
    """
    return str(reason).strip().partition("\n")[0].rstrip(".")


def nearest(unknown: str, known: list[str]) -> str:
    """Suggest the nearest known word, or list all known words.

    >>> nearest("term_deposits", ["term_deposit", "churn"])
    "Did you mean 'term_deposit'?"
    >>> nearest("x", ["term_deposit", "churn"])
    'Known: churn, term_deposit.'
    """
    matches = get_close_matches(unknown, known, n=1)
    return f"Did you mean '{matches[0]}'?" if matches else f"Known: {', '.join(sorted(known)) or 'none'}."
