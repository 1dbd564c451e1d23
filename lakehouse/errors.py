"""The root of every error this project raises on purpose."""

from difflib import get_close_matches


class LakehouseError(Exception):
    """What failed, with the values, and the next command.

    Command lines catch this one class, print it without a traceback and exit with 1; anything else that
    escapes is a defect.
    """

    def __init__(self, failed: str, *, hint: str | None = None) -> None:
        self.failed = failed
        self.hint = hint
        super().__init__(failed if hint is None else f"{failed}\n  {hint}")


def nearest(unknown: str, known: list[str]) -> str:
    """A hint that names the nearest known word, or all of them.

    >>> nearest("term_deposits", ["term_deposit", "churn"])
    "Did you mean 'term_deposit'?"
    >>> nearest("x", ["term_deposit", "churn"])
    'Known: churn, term_deposit.'
    """
    matches = get_close_matches(unknown, known, n=1)
    return f"Did you mean '{matches[0]}'?" if matches else f"Known: {', '.join(sorted(known)) or 'none'}."
