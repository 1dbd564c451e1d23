"""Commands in messages, by the name under which the person started the program.

Messages name commands as `python -m ...`. A program that is started as `lakehouse` says so once, and what it prints
names them as `lakehouse ...`. Files, such as reports and logs of servers, keep the long names.
"""

import re
from collections.abc import Mapping

_LONG = re.compile(r"python -m (?P<module>\w+(?:\.\w+)+)(?: (?P<verb>[a-z]+(?:-[a-z]+)*)(?![\w.=]))?")
_SHORT: dict[str, str] = {}


def use_short_names(names: Mapping[str, str]) -> None:
    """Print commands by their short names from now on.

    Args:
        names: short name by long one, such as `lakehouse promote` by `deployment.run promote`.
    """
    _SHORT.update(names)


def as_started(text: str) -> str:
    """The text with the short names of its commands, if the program was started by one.

    >>> as_started("Train one: python -m training.run --use-case churn")
    'Train one: python -m training.run --use-case churn'
    """
    return _LONG.sub(_short, text) if _SHORT else text


def _short(long: re.Match[str]) -> str:
    module, verb = long["module"], long["verb"]
    if with_verb := _SHORT.get(f"{module} {verb}"):
        return with_verb
    alone = _SHORT.get(module)
    return long[0] if alone is None else f"{alone} {verb}" if verb else alone
