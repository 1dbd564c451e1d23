"""Wording that several messages share."""

from datetime import datetime
from numbers import Integral
from typing import SupportsFloat

EXACT_INTEGERS = 2**53  # below it, every integer is a double
NO_TIME = datetime(2000, 1, 1)  # noqa: DTZ001  (of rows without a time; a second run of `init` writes the same)


def number_of(noun: str, count: int) -> str:
    """A count with its noun.

    >>> number_of("trial", 1), number_of("trial", 1200)
    ('1 trial', '1,200 trials')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_minutes(minutes: float) -> str:
    """A limit of time.

    >>> format_minutes(1), format_minutes(0.5), format_minutes(10)
    ('1 minute', '0.5 minutes', '10 minutes')
    """
    return f"{minutes:g} minute{'' if minutes == 1 else 's'}"


def format_dates(first: datetime, last: datetime) -> str:
    """The days of the first and the last row; one day if they are the same.

    >>> format_dates(datetime(2008, 5, 5, 9), datetime(2009, 5, 14)), format_dates(*[datetime(2009, 5, 14)] * 2)
    ('2008-05-05 to 2009-05-14', '2009-05-14')
    >>> format_dates(NO_TIME, NO_TIME)
    'without a time'
    """
    if first.replace(tzinfo=None) == last.replace(tzinfo=None) == NO_TIME:
        return "without a time"
    days = (f"{each:%Y-%m-%d}" for each in (first, last))
    return " to ".join(dict.fromkeys(days))


def format_version(version: int | None) -> str:
    """A registered version in a message.

    >>> format_version(3), format_version(None)
    ('version 3', 'none')
    """
    return "none" if version is None else f"version {version}"


def format_number(value: SupportsFloat) -> str:
    """A number with all of its digits, and no more: read back, it is the same number.

    >>> format_number(19000101.0), format_number(0.1), format_number(-0.0), format_number(1e300)
    ('19000101', '0.1', '0', '1e+300')
    >>> format_number(9007199254740993)
    '9007199254740993'
    """
    if isinstance(value, Integral):
        return str(int(value))
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < EXACT_INTEGERS else repr(number)
