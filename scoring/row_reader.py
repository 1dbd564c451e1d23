"""Records to rows of numbers, one by one: what a request needs, without an array in between.

`Encoder.features_of` says what a feature is; a reader asks it once for every value that an encoding tells apart, and
from then on looks the answers up. So both agree by construction, and a row takes microseconds.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scoring.contract import check
from scoring.encoder import Encoder
from scoring.encodings import LARGEST, CategoryIndex, Cohort, Encoding, Flag, Number, OneHot, Ordinal

EncodedRow = list[float]
Filled = Sequence[tuple[int, float]]  # places of a row and what they hold; the others of the encoding are 0
Fill = Callable[
    [Any, EncodedRow], bool
]  # write a value's features into a row; False if the contract may not allow it


class RowReader:
    """Holds records to the input contract, and makes each one row in the order of the encoder's features."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._empty = [0.0] * len(encoder.features)
        self._fills = {encoding: _fill(encoding, encoder) for encoding in encoder.encodings}
        self._columns = [(encoding.column, fill) for encoding, fill in self._fills.items()]
        self._fields = len({column for column, _ in self._columns})

    def rows(self, records: Sequence[Mapping[str, Any]]) -> list[EncodedRow]:
        """One row for each record.

        Raises:
            ContractViolation: with every value that is wrong.
        """
        rows = [self._empty.copy() for _ in records]
        if all(map(self._read, records, rows)):
            return rows
        check(records, self._encoder)
        # The check knows more than the quick look, say of numbers that are no plain int or float.
        columns = self._encoder.features_of(records)
        return [list(map(float, row)) for row in zip(*columns.values(), strict=True)]

    def fill(self, encoding: Encoding, value: Any, row: EncodedRow) -> None:
        """Write what an encoding makes of a value that was checked into a row that is 0 there."""
        if not self._fills[encoding](value, row):
            columns = encoding.encode([value], self._encoder.vocabularies)
            for place in places(encoding, self._encoder):
                row[place] = float(columns[self._encoder.features[place]][0])

    def _read(self, record: Mapping[str, Any], row: EncodedRow) -> bool:
        if len(record) != self._fields:
            return False
        try:
            return all([fill(record[column], row) for column, fill in self._columns])  # noqa: C419  (faster so)
        except (KeyError, TypeError):  # a field is missing, or a value cannot be looked up
            return False


def places(encoding: Encoding, encoder: Encoder) -> list[int]:
    """The places of a row that an encoding fills."""
    names = encoding.encode([], encoder.vocabularies)
    return [place for place, name in enumerate(encoder.features) if name in names]


def _fill(encoding: Encoding, encoder: Encoder) -> Fill:
    if isinstance(encoding, Number):
        return _number(encoding, encoder)
    if isinstance(encoding, Cohort):
        return _cohort(encoding, encoder)
    if isinstance(encoding, CategoryIndex):
        return _index(encoding, encoder)
    return _choice(encoding, encoder)


def _number(encoding: Number, encoder: Encoder) -> Fill:
    place = next((at for at, name in enumerate(encoder.features) if name == encoding.column), None)
    missing = _filled(encoding, encoder, [None])[None] if encoding.impute is not None else None
    low = -LARGEST if encoding.minimum is None else max(-LARGEST, encoding.minimum)
    high = LARGEST if encoding.maximum is None else min(LARGEST, encoding.maximum)
    whole = encoding.type == "integer"

    def fill(value: Any, row: EncodedRow) -> bool:
        kind = type(value)
        if kind is int or kind is float:
            if not low <= value <= high or (whole and kind is float and value != int(value)):
                return False
            if place is not None:
                row[place] = float(value)
            return True
        if value is not None or missing is None:
            return False
        return _write(missing, row)

    return fill


def _cohort(encoding: Cohort, encoder: Encoder) -> Fill:
    bounds = encoding.bounds
    values = (bounds[0] - 1, *bounds)
    by_value = _filled(encoding, encoder, [None, *values])
    missing, cohorts = by_value[None], [by_value[value] for value in values]

    def fill(value: Any, row: EncodedRow) -> bool:
        if value is None:
            return _write(missing, row)
        kind = type(value)
        if (kind is not int and kind is not float) or not -LARGEST <= value <= LARGEST:
            return False
        return _write(cohorts[bisect_right(bounds, value)], row)

    return fill


def _index(encoding: CategoryIndex, encoder: Encoder) -> Fill:
    words = encoder.vocabularies[encoding.index]
    return _among([None, *words[1:]], encoding, encoder)


def _choice(encoding: Flag | OneHot | Ordinal, encoder: Encoder) -> Fill:
    return _among((True, False) if isinstance(encoding, Flag) else (None, *encoding.categories), encoding, encoder)


def _among(values: Sequence[Any], encoding: Encoding, encoder: Encoder) -> Fill:
    known = _filled(encoding, encoder, values)
    kinds = {type(value) for value in values}  # 1 is not True here
    taken_for = known.get(None) if encoder.unknown_categories == "missing" else None

    def fill(value: Any, row: EncodedRow) -> bool:
        filled = known.get(value, taken_for)
        return filled is not None and type(value) in kinds and _write(filled, row)

    return fill


def _filled(encoding: Encoding, encoder: Encoder, values: Sequence[Any]) -> dict[Any, Filled]:
    """What the encoding itself makes of each value, less the zeros and the features that the model does not take."""
    columns = encoding.encode(values, encoder.vocabularies)
    taken = [(at, columns[name].tolist()) for at, name in enumerate(encoder.features) if name in columns]
    return {value: [(at, column[i]) for at, column in taken if column[i]] for i, value in enumerate(values)}


def _write(filled: Filled, row: EncodedRow) -> bool:
    for place, value in filled:
        row[place] = value
    return True
