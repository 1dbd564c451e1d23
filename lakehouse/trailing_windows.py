"""What an entity did over the last days, exactly, at every day on which that changes.

A sum over the last 30 days changes when something enters it and when something leaves it. A row at each such day is
therefore right until the next one, whenever it is looked up; and because an event enters on the day after it became
known, however late, no row ever changes once it is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lakehouse.arrays import Integers

_DAYS = 1 << 20  # more than any day since 1970 will be: makes one number of entity and day


@dataclass(frozen=True)
class Events:
    """What happened; every array is (events,).

    Attributes:
        entity: whose event.
        day: days since 1970 on which it happened.
        known: days since 1970 on which it became known.
        measures: what it adds to each measure, in whole numbers, so that what has left leaves nothing behind.
    """

    entity: Integers
    day: Integers
    known: Integers
    measures: Mapping[str, Integers]


@dataclass(frozen=True)
class Changes:
    """The sums after each change; every array is (rows,), ordered by entity and day.

    Attributes:
        as_of: days since 1970; the sums count what was known before that day began.
        sums: by measure and length of the window in days.
    """

    entity: Integers
    as_of: Integers
    sums: Mapping[tuple[str, int], Integers]


def changes(events: Events, windows: Mapping[str, tuple[int, ...]], begin: int, end: int) -> Changes:
    """Every change with begin < as_of <= end.

    A window of w days as of day a counts the events of the days a - w to a - 1 that were known before a.

    Args:
        events: at least all that are inside the longest window at `begin`, or later.
        windows: the lengths in days for each measure.
        begin: days since 1970.
        end: days since 1970.
    """
    lengths = sorted({length for each in windows.values() for length in each})
    enters = np.maximum(events.day, events.known) + 1
    days = np.stack([enters, *(np.maximum(events.day + 1 + length, enters) for length in lengths)])
    # Of an entity whose windows stand still there is nothing to tell, and after a short time most do.
    moved = events.entity[np.any((days > begin) & (days <= end), axis=0)]
    told = np.isin(events.entity, moved)
    measures = {name: values[told] for name, values in events.measures.items()}
    rows, places = np.unique(events.entity[told] * _DAYS + days[:, told], return_inverse=True)
    entering, *leaving = places.reshape(1 + len(lengths), -1)
    differences = {
        (measure, length): _difference(entering, leaving[lengths.index(length)], measures[measure], len(rows))
        for measure, each in windows.items()
        for length in each
    }
    entity, as_of = np.divmod(rows, _DAYS)
    # An event that adds nothing is there to say that the entity is, and has a row whatever it changes.
    begins = np.isin(np.arange(len(rows)), entering[~np.any([*measures.values()], axis=0)])
    changed = begins | np.any([*differences.values()], axis=0)
    kept = changed & (as_of > begin) & (as_of <= end)
    sums = {name: _running(difference)[kept] for name, difference in differences.items()}
    return Changes(entity[kept], as_of[kept], sums)


def _difference(entering: Integers, leaving: Integers, values: Integers, rows: int) -> Integers:
    # Doubles hold whole numbers exactly up to 2**53.
    added = np.bincount(entering, values, rows) - np.bincount(leaving, values, rows)
    return np.asarray(added.astype(np.int64))


def _running(difference: Integers) -> Integers:
    # Of all entities in one sum: each event leaves at last, so an entity ends at zero, where the next one begins.
    return np.asarray(np.cumsum(difference), dtype=np.int64)
