"""Records as rows of numbers: one by one without an array in between, or many of them column by column."""

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from lakehouse.arrays import Floats
from scoring.contract import check
from scoring.encoder import Encoder
from scoring.encodings import Encoding
from scoring.encodings.column_writers import CodeWriter
from scoring.encodings.row_writers import EncodedRow
from scoring.record_table import RecordTable

__all__ = ["EncodedRow", "RowReader"]

MANY = 12  # records from which columns are faster than rows


class RowReader:
    """Checks records against the input contract and encodes each as a row in the order of the encoder's features."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._empty: EncodedRow = ["" if name in encoder.text_features else 0.0 for name in encoder.features]
        self._writers = {encoding: encoding.row_writer(encoder) for encoding in encoder.encodings}
        self._columns = [(encoding.column, write) for encoding, write in self._writers.items()]
        self._fields = len({column for column, _ in self._columns})
        self._by_column = [
            (encoding.column_writer(encoder) if self._fields > 1 else None, write)
            for encoding, write in self._writers.items()
        ]
        self._by_code = _code_writers(encoder)
        self._values = itemgetter(*(column for column, _ in self._columns)) if self._columns else None

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
        return [
            [value if isinstance(value, str) else float(value) for value in row]
            for row in zip(*columns.values(), strict=True)
        ]

    def matrix(self, records: Sequence[Mapping[str, Any]]) -> Floats | list[EncodedRow]:
        """The same rows; of many records as an array of (rows, features).

        Raises:
            ContractViolation: with every value that is wrong.
        """
        if isinstance(records, RecordTable) and records.fields is self._encoder.request_fields:
            rows = self._of_codes(records.codes)
            return rows if len(rows) >= MANY else rows.tolist()
        if len(records) < MANY or self._values is None or self._fields < 2 or self._encoder.text_features:
            return self.rows(records)
        matrix = np.zeros((len(records), len(self._empty)))
        return matrix if self._read_columns(records, matrix) else self.rows(records)

    def _of_codes(self, codes: Floats) -> Floats:
        matrix = np.zeros((len(codes), len(self._empty)))
        numbers, writers = self._by_code
        columns = [*codes[:, :numbers].T, *codes[:, numbers:].astype(np.intp).T]
        for field, write in writers:
            write(columns[field], matrix)
        return matrix

    def _read_columns(self, records: Sequence[Mapping[str, Any]], matrix: Floats) -> bool:
        try:
            columns = self._columns_of(records)
            for values, (write_column, write) in zip(columns, self._by_column, strict=True):
                if (write_column is None or not write_column(values, matrix)) and not all(map(write, values, matrix)):
                    return False
        except (KeyError, TypeError, ValueError):  # a field is missing or unknown, or a value cannot be looked up
            return False
        return True

    def _columns_of(self, records: Sequence[Mapping[str, Any]]) -> Iterable[Sequence[Any]]:
        """The values of each encoding.

        Raises:
            KeyError: a field is missing.
            ValueError: a record has other fields.
        """
        if set(map(len, records)) != {self._fields}:
            raise ValueError(f"not all records have {self._fields} fields")
        return zip(*map(self._values, records), strict=True)  # type: ignore[arg-type]

    def write(self, encoding: Encoding, value: Any, row: EncodedRow) -> None:
        """Write the features of a checked value into a row that is 0 there."""
        if not self._writers[encoding](value, row):
            columns = encoding.encode([value], self._encoder.vocabularies)
            for index in self._encoder.feature_indices(encoding):
                value = columns[self._encoder.features[index]][0]
                row[index] = value if isinstance(value, str) else float(value)

    def _read(self, record: Mapping[str, Any], row: EncodedRow) -> bool:
        if len(record) != self._fields:
            return False
        try:
            return all([write(record[column], row) for column, write in self._columns])  # noqa: C419  (faster so)
        except (KeyError, TypeError):  # a field is missing, or a value cannot be looked up
            return False


def _code_writers(encoder: Encoder) -> tuple[int, list[tuple[int, CodeWriter]]]:
    """Count of the fields with numbers, and each encoding's writer with the place of its field."""
    fields = encoder.request_fields
    if fields is None:
        return 0, []
    place_of = {name: place for place, name in enumerate(fields.names)}
    return fields.numbers, [
        (place_of[encoding.column], encoding.code_writer(fields.types[encoding.column], encoder))
        for encoding in encoder.encodings
    ]
