"""Wording that several messages share."""


def number_of(noun: str, count: int) -> str:
    """A count with its noun.

    >>> number_of("trial", 1), number_of("trial", 1200)
    ('1 trial', '1,200 trials')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_version(version: int | None) -> str:
    """A registered version in a message.

    >>> format_version(3), format_version(None)
    ('version 3', 'none')
    """
    return "none" if version is None else f"version {version}"
