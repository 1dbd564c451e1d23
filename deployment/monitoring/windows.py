"""Windows of time: of equal length, starting at multiples of it since 1970 in UTC."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lakehouse.errors import LakehouseError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DEFAULT_WINDOWS, MOST_WINDOWS = 14, 2_000
UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


class WindowsRefused(LakehouseError):
    """The period of a run holds no window, or too many."""

    @classmethod
    def none(cls, since: datetime, until: datetime, length: timedelta) -> "WindowsRefused":
        period = f"{since:%Y-%m-%d %H:%M:%S} and {until:%Y-%m-%d %H:%M:%S} UTC"
        return cls(
            f"no window of {format_length(length)} ends between {period}",
            hint="Pass an earlier --since, or a shorter --window.",
        )

    @classmethod
    def too_many(cls, count: int) -> "WindowsRefused":
        return cls(f"the period has {count:,} windows", hint=f"At most {MOST_WINDOWS:,}: pass a longer --window.")


def micros_of(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def format_length(length: timedelta) -> str:
    """A length of time in its largest whole unit.

    >>> format_length(timedelta(days=1)), format_length(timedelta(hours=36)), format_length(timedelta(seconds=90))
    ('1 d', '36 h', '90 s')
    """
    seconds = int(length.total_seconds())
    unit, size = next((unit, size) for unit, size in UNITS if seconds % size == 0)
    return f"{seconds // size} {unit}"


@dataclass(frozen=True)
class Windows:
    """The windows of a run: those that end by its end.

    Attributes:
        first: start of the first window.
        length: length of each.
        count: number of windows.
    """

    first: datetime
    length: timedelta
    count: int

    @classmethod
    def of(cls, length: timedelta, until: datetime, since: datetime | None = None) -> "Windows":
        """The windows that start at or after `since` and have ended by `until`; without `since` the last 14.

        Raises:
            WindowsRefused: there is none, or there are too many.

        >>> end = datetime(2026, 11, 30, 1, 30, tzinfo=UTC)
        >>> Windows.of(timedelta(hours=1), end, datetime(2026, 11, 29, 22, 10, tzinfo=UTC)).count
        2
        """
        last = EPOCH + (until - EPOCH) // length * length  # end of the last window
        if since is None:
            return cls(last - DEFAULT_WINDOWS * length, length, DEFAULT_WINDOWS)
        first = EPOCH - (EPOCH - since) // length * length  # the next start at or after `since`
        count = (last - first) // length
        if count < 1:
            raise WindowsRefused.none(since, until, length)
        if count > MOST_WINDOWS:
            raise WindowsRefused.too_many(count)
        return cls(first, length, count)

    @property
    def end(self) -> datetime:
        return self.start(self.count)

    def __iter__(self) -> Iterator[datetime]:
        """The start of each window."""
        return map(self.start, range(self.count))

    @property
    def micros(self) -> tuple[int, int]:
        """Start of the first window and length, in microseconds."""
        return micros_of(self.first), self.length // timedelta(microseconds=1)

    def start(self, number: int) -> datetime:
        """Start of a window."""
        return self.first + number * self.length
