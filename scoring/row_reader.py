"""Records as rows of numbers, one by one: the fast path of a request, without an array in between."""

from collections.abc import Mapping, Sequence
from typing import Any

from scoring.contract import check
from scoring.encoder import Encoder
from scoring.encodings import Encoding
from scoring.encodings.row_writers import EncodedRow

__all__ = ["EncodedRow", "RowReader"]


class RowReader:
    """Checks records against the input contract and encodes each as a row in the order of the encoder's features."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._empty = [0.0] * len(encoder.features)
        self._writers = {encoding: encoding.row_writer(encoder) for encoding in encoder.encodings}
        self._columns = [(encoding.column, write) for encoding, write in self._writers.items()]
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
        # The check accepts more than the fast path, for example numbers that are no plain int or float.
        columns = self._encoder.features_of(records)
        return [list(map(float, row)) for row in zip(*columns.values(), strict=True)]

    def write(self, encoding: Encoding, value: Any, row: EncodedRow) -> None:
        """Write the features of a checked value into a row that is 0 there."""
        if not self._writers[encoding](value, row):
            columns = encoding.encode([value], self._encoder.vocabularies)
            for index in self._encoder.feature_indices(encoding):
                row[index] = float(columns[self._encoder.features[index]][0])

    def _read(self, record: Mapping[str, Any], row: EncodedRow) -> bool:
        if len(record) != self._fields:
            return False
        try:
            return all([write(record[column], row) for column, write in self._columns])  # noqa: C419  (faster so)
        except (KeyError, TypeError):  # a field is missing, or a value cannot be looked up
            return False
