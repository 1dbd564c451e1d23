"""Raw files as they land: read whole, every value as text, or refused with the row that is wrong."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from lakehouse.errors import LakehouseError

ROW_NUMBER = "row_number"


class LandingFileMissing(LakehouseError):
    """No file at the landing path."""

    @classmethod
    def at(cls, path: Path) -> "LandingFileMissing":
        return cls(
            f"the landing file {path} is not there",
            hint="Put it there, or name its folder in LAKEHOUSE_LANDING.",
        )


class LandingFileRefused(LakehouseError):
    """The file is there, and is not what was declared."""

    @classmethod
    def unreadable(cls, path: Path, reason: Exception) -> "LandingFileRefused":
        return cls(f"the landing file {path} cannot be read: {reason}", hint="Deliver the file again.")

    @classmethod
    def header(
        cls, path: Path, found: Sequence[str], declared: Sequence[str], delimiter: str
    ) -> "LandingFileRefused":
        failed = f"the header of the landing file {path}"
        if len(found) == 1 and len(declared) > 1:
            return cls(
                f"{failed} does not split at '{delimiter}': {found[0][:80]!r}",
                hint="Deliver the file with that delimiter, or correct `landing_file.delimiter` in the model's .yml.",
            )
        missing, extra = [c for c in declared if c not in found], [c for c in found if c not in declared]
        return cls(
            f"{failed} is not the declared one: missing {missing or 'none'}, not declared {extra or 'none'}, "
            f"found {list(found)}",
            hint="Correct the file, or `landing_file.columns` in the model's .yml.",
        )

    @classmethod
    def rows(cls, path: Path, bad: Sequence[pacsv.InvalidRow], declared: int) -> "LandingFileRefused":
        # The parser counts from 1 and the header is its row 1.
        shown = "; ".join(
            f"line {row.number} has {row.actual_columns} of {declared} fields: {row.text[:60]!r}" for row in bad[:3]
        )
        return cls(
            f"{len(bad)} row(s) of the landing file {path} have the wrong number of fields: {shown}",
            hint="Correct them; the tables stay as they are until the whole file reads.",
        )


def read_delimited(path: Path, columns: Sequence[str], delimiter: str) -> pa.Table:
    """Read a delimited file (gzip by its ending), every value as text, with `row_number` from 1 in file order.

    Args:
        path: the file.
        columns: the header it must have, in this order.
        delimiter: one character.

    Raises:
        LandingFileMissing: no file is there.
        LandingFileRefused: another header, a row with too few or too many fields, a broken archive, no rows.
    """
    if not path.is_file():
        raise LandingFileMissing.at(path)
    bad: list[pacsv.InvalidRow] = []

    def keep(row: pacsv.InvalidRow) -> str:
        bad.append(row)
        return "skip"

    try:
        rows = pacsv.read_csv(
            path,
            # One thread, so that a bad row knows its number.
            read_options=pacsv.ReadOptions(use_threads=False),
            parse_options=pacsv.ParseOptions(delimiter=delimiter, invalid_row_handler=keep),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
            ),
        )
    except (pa.ArrowInvalid, OSError) as err:
        raise LandingFileRefused.unreadable(path, err) from err
    if rows.column_names != list(columns):
        raise LandingFileRefused.header(path, rows.column_names, columns, delimiter)
    if bad:
        raise LandingFileRefused.rows(path, bad, len(columns))
    if rows.num_rows == 0:
        raise LandingFileRefused(f"the landing file {path} has a header and no rows", hint="Deliver the file again.")
    return rows.append_column(ROW_NUMBER, pa.array(range(1, rows.num_rows + 1), pa.int64()))
