"""Exact sums over trailing windows of days, with one row for every day on which a sum changes.

A sum over the last 30 days changes when an event enters or leaves the window. So a row at each such day is correct
until the next one, for a lookup at any time. An event enters on the day after it became known, however late it is, so
a written row never changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lakehouse.arrays import Integers

_DAYS = 1 << 20  # larger than any day since 1970: combines entity and day into one number


@dataclass(frozen=True)
class Events:
    """Events of entities; every array is (events,).

    Attributes:
        entity: entity of the event.
        day: day of the event, in days since 1970.
        known: day on which it became known, in days since 1970.
        measures: contribution to each measure; integers, so that additions and subtractions cancel exactly.
    """

    entity: Integers
    day: Integers
    known: Integers
    measures: Mapping[str, Integers]


@dataclass(frozen=True)
class Changes:
    """Sums after each change; every array is (rows,), sorted by entity and day.

    Attributes:
        as_of: days since 1970; the sums include events that were known before that day started.
        sums: sums by measure and window length in days.
    """

    entity: Integers
    as_of: Integers
    sums: Mapping[tuple[str, int], Integers]


def changes(events: Events, windows: Mapping[str, tuple[int, ...]], begin: int, end: int) -> Changes:
    """Every change with begin < as_of <= end.

    A window of w days as of day a includes the events of days a - w to a - 1 that were known before a.

    Args:
        events: at least all events that are later than `begin` or in the longest window at `begin`.
        windows: window lengths in days for each measure.
        begin: days since 1970.
        end: days since 1970.
    """
    lengths = sorted({length for each in windows.values() for length in each})
    enters = np.maximum(events.day, events.known) + 1
    days = np.stack([enters, *(np.maximum(events.day + 1 + length, enters) for length in lengths)])
    # Entities without a change in the period need no rows; in a short period that is most of them.
    changing = events.entity[np.any((days > begin) & (days <= end), axis=0)]
    relevant = np.isin(events.entity, changing)
    measures = {name: values[relevant] for name, values in events.measures.items()}
    rows, indices = np.unique(events.entity[relevant] * _DAYS + days[:, relevant], return_inverse=True)
    entering, *leaving = indices.reshape(1 + len(lengths), -1)
    differences = {
        (measure, length): _difference(entering, leaving[lengths.index(length)], measures[measure], len(rows))
        for measure, each in windows.items()
        for length in each
    }
    entity, as_of = np.divmod(rows, _DAYS)
    # An event with only zero measures marks the existence of an entity, and gets a row without a change.
    exists = np.isin(np.arange(len(rows)), entering[~np.any([*measures.values()], axis=0)])
    changed = exists | np.any([*differences.values()], axis=0)
    in_period = changed & (as_of > begin) & (as_of <= end)
    sums = {name: _running(difference)[in_period] for name, difference in differences.items()}
    return Changes(entity[in_period], as_of[in_period], sums)


def _difference(entering: Integers, leaving: Integers, values: Integers, rows: int) -> Integers:
    # Doubles represent integers exactly up to 2**53.
    added = np.bincount(entering, values, rows) - np.bincount(leaving, values, rows)
    return np.asarray(added.astype(np.int64))


def _running(difference: Integers) -> Integers:
    # One cumulative sum for all entities: each event leaves its window, so the sum is zero where an entity starts.
    return np.asarray(np.cumsum(difference), dtype=np.int64)
