"""The share of a large table that training reads, so that its matrix has a bounded size."""

from dataclasses import dataclass

from lakehouse.wording import number_of

MATRIX_BYTES = 2**28  # of the matrix; training holds it some eight times, and tries one model a minute on 2**30
_BYTES = 8  # of a number


@dataclass(frozen=True)
class RowSample:
    """Rows that the label table has: one of `every`, chosen by a hash of the key or of the group.

    Attributes:
        every: 1 if all rows are learned from.
        rows: rows with a label.
        why: reason, to be said aloud; empty if all rows are learned from.
    """

    every: int = 1
    rows: int = 0
    why: str = ""


ALL_ROWS = RowSample()


def row_sample(rows: int, features: int, most_rows: int | None) -> RowSample:
    """The sample of a table.

    Args:
        rows: rows with a label.
        features: columns of the matrix.
        most_rows: most rows to learn from, where the person has said it; None for what the matrix may have.
    """
    most = most_rows or max(MATRIX_BYTES // (max(features, 1) * _BYTES), 1)
    every = -(-rows // most)
    if every <= 1:
        return RowSample(rows=rows)
    size = rows * features * _BYTES / 2**30
    limit = f"all of them are a matrix of {size:.1f} GiB, more than {MATRIX_BYTES / 2**30:g} GiB"
    reason = f"--rows {most_rows}" if most_rows else limit
    why = (
        f"Training reads a sample: about {number_of('row', rows // every)} of {rows:,}, one of {every} by a hash of "
        f"the key ({reason}). --rows takes another number, and so does `every` in the label model."
    )
    return RowSample(every, rows, why)
