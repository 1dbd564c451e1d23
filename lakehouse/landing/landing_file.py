"""Reads delimited landing files with every value as text, or refuses them by line."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from lakehouse.landing.errors import Correction, LandingFileMissing, LandingFileRefused
from lakehouse.landing.lines import without_lines
from lakehouse.landing.options import ROW_NUMBER, LandingOptions
from lakehouse.landing.records import Chunk, LandedRecord, Quoting
from lakehouse.landing.source import line_ends, text_blocks
from lakehouse.landing.undeclared import UndeclaredFormats
from lakehouse.landing.values import ValueProblem, converted

_SHOWN = 3


def read_delimited(path: Path, options: LandingOptions) -> pa.Table:
    """Rows of `landed_parts` as one table, in memory.

    Raises:
        LandingFileMissing: the file does not exist.
        LandingFileRefused: the file differs from its declaration, is broken, or has no rows.
    """
    return pa.concat_tables(landed_parts(path, options))


def landed_parts(path: Path, options: LandingOptions) -> Iterator[pa.Table]:
    """Rows of a delimited file, part by part, with every value as text, and `row_number` from 1 in file order.

    A path with `*` or `?` is a pattern: its files are read in the order of their names, each with the header.
    Memory holds a few MiB of a file, or its longest record.

    Raises:
        LandingFileMissing: the file does not exist.
        LandingFileRefused: the file differs from its declaration, is broken, or has no rows; some of that is only
            known after the last part.
    """
    rows = 0
    for file in matching_files(path):
        for part in _Reader(file, options).checked_parts():
            numbers = np.arange(rows + 1, rows + part.num_rows + 1)
            rows += part.num_rows
            yield part.append_column(ROW_NUMBER, pa.array(numbers))
    if rows == 0:
        raise LandingFileRefused(f"the landing file {path} has a header and no rows", hint="Deliver the file again.")


def landed_schema(options: LandingOptions) -> pa.Schema:
    """Columns of `landed_parts`."""
    return pa.schema([*((column, pa.string()) for column in options.columns), (ROW_NUMBER, pa.int64())])


def delimited_parts(path: Path, options: LandingOptions) -> Iterator[pa.Table]:
    """Rows of one delimited file, part by part, as texts; undeclared formats are not looked for.

    Raises:
        LandingFileMissing: the file does not exist.
        LandingFileRefused: the file differs from its declaration or is broken.
    """
    return _Reader(path, options).parts()


def matching_files(path: Path) -> list[Path]:
    """The file of a path, or the files of a pattern with `*` or `?` by name; hidden files do not count.

    Raises:
        LandingFileMissing: no file matches the pattern.
    """
    if not set("*?") & set(str(path)):
        return [path]
    anchor = Path(path.anchor)
    files = (file for file in anchor.glob(str(path.relative_to(anchor))) if file.is_file())
    if found := sorted(file for file in files if not file.name.startswith(".")):
        return found
    raise LandingFileMissing.at(path)


class _Reader:
    """Reads one file, chunk by chunk."""

    def __init__(self, path: Path, options: LandingOptions) -> None:
        self.path, self.options, self.width = path, options, len(options.columns)
        self.quoting = Quoting(path, options)
        self.malformed = 0
        self.shown: list[tuple[int, int, str]] = []  # line, fields and text

    def checked_parts(self) -> Iterator[pa.Table]:
        """Rows of each chunk as texts, and after the last one a search for undeclared formats.

        Raises:
            LandingFileRefused: the file differs from its declaration.
        """
        formats, rows = UndeclaredFormats(self.options), list[int]()
        for part in self.parts():
            formats.observe(part)
            rows.append(part.num_rows)
            yield part
        if problem := formats.problem:
            raise self._refused(problem, self._line_of(problem.row, rows))

    def parts(self) -> Iterator[pa.Table]:
        """Rows of each chunk as texts.

        Raises:
            LandingFileRefused: the file differs from its declaration.
        """
        for chunk in self._chunks():
            yield self._parse(chunk)
        if self.malformed:
            raise LandingFileRefused.rows(self.path, self.malformed, self.shown, self.width)

    def _chunks(self) -> Iterator[Chunk]:
        """Chunks of the file without its header."""
        header, options = None, self.options
        text = text_blocks(self.path, options.encoding)
        text = without_lines(text, options.skip_lines, options.skip_last_lines)
        for chunk in self.quoting.chunks(text, options.skip_lines + 1):
            if header is None:
                header = next((record for record in self.quoting.records(chunk) if not record.is_blank), None)
                if header is None:
                    continue
                if header.fields != list(self.options.file_header):
                    raise LandingFileRefused.header(
                        self.path, header.fields, self.options.file_header, self.options.delimiter
                    )
                yield chunk.behind(header.end)
            else:
                yield chunk
        if header is None:
            cause = ValueError("it is empty")
            raise LandingFileRefused.unreadable(self.path, cause) from cause

    def _parse(self, chunk: Chunk) -> pa.Table:
        """Rows of a chunk; malformed ones are counted and left out."""
        skipped: list[pacsv.InvalidRow] = []

        def skip(row: pacsv.InvalidRow) -> str:
            skipped.append(row)
            return "skip"

        columns = list(self.options.columns)
        rows = pacsv.read_csv(
            pa.BufferReader(chunk.text or b"\n"),
            pacsv.ReadOptions(column_names=columns, block_size=len(chunk.text) + 1),
            pacsv.ParseOptions(
                delimiter=self.options.delimiter,
                invalid_row_handler=skip,
                newlines_in_values=True,
                ignore_empty_lines=self.width > 1 or not chunk.text,
            ),
            pacsv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False, check_utf8=False
            ),
        )
        if skipped:
            self._note(chunk, len(skipped))
            return rows
        self._require_no_blank_rows(chunk, rows)
        self._require_no_embedded_rows(chunk, rows)
        texts = converted(rows, self.options)
        if isinstance(texts, ValueProblem):
            raise self._refused(texts, self._line_in(chunk, texts.row))
        return texts

    def _note(self, chunk: Chunk, malformed: int) -> None:
        # The fast parser counts records, not lines, so the first malformed rows are read again.
        self.malformed += malformed
        for record in self.quoting.records(chunk) if len(self.shown) < _SHOWN else ():
            if not record.is_blank and len(record.fields) != self.width and len(self.shown) < _SHOWN:
                text = self.options.delimiter.join(record.fields)
                self.shown.append((record.line, len(record.fields), text[:60]))

    def _require_no_blank_rows(self, chunk: Chunk, rows: pa.Table) -> None:
        # Among several columns, a blank line is no row. In a single column it may be an empty value.
        if self.width > 1 or not pc.any(pc.equal(rows.column(0), "")).as_py():
            return
        blank = next((record for record in self.quoting.records(chunk) if record.is_blank), None)
        if blank is not None:
            problem = "is blank, which is an empty value or no row in a file of one column"
            raise LandingFileRefused.line(
                self.path, blank.line, problem, 'Write "" for an empty value, or remove it.'
            )

    def _require_no_embedded_rows(self, chunk: Chunk, rows: pa.Table) -> None:
        # Two lost quotes make one value of all rows between them, and each of its lines still looks like a row.
        if self.width == 1 or self.options.embedded_rows or line_ends(chunk.text) <= rows.num_rows:
            return
        delimiter, end = self.options.delimiter, "\n" if b"\n" in chunk.text else "\r"
        texts = pc.binary_join_element_wise(*rows.columns, delimiter)
        lines = pc.add(pc.count_substring(texts, end), 1)
        fits = pc.equal(pc.count_substring(texts, delimiter), pc.multiply(lines, self.width - 1))
        for row in pc.indices_nonzero(pc.and_(fits, pc.greater(lines, 1))).to_pylist():
            values = [line.rstrip("\r") for line in texts[row].as_py().split(end)]
            if all(line.count(delimiter) == self.width - 1 for line in values):
                raise LandingFileRefused.line(
                    self.path,
                    self._line_in(chunk, row),
                    f"starts a row of {len(values)} lines that each look like a row: {values[0][:60]!r}, "
                    f"{values[1][:60]!r}",
                    "A quote is probably missing: close it, or double each quote within a value.",
                    Correction("embedded_rows", "true", condition="the lines are a value"),
                )

    def _line_of(self, row: int, parts: list[int]) -> int:
        """Line of a row, found by the number of rows of each part."""
        for chunk, rows in zip(self._chunks(), parts, strict=True):
            if row < rows:
                return self._line_in(chunk, row)
            row -= rows
        raise IndexError(row)

    def _line_in(self, chunk: Chunk, row: int) -> int:
        records = (record for record in self.quoting.records(chunk) if not record.is_blank)
        record: LandedRecord = next(islice(records, row, None))
        return record.line

    def _refused(self, problem: ValueProblem, line: int) -> LandingFileRefused:
        return LandingFileRefused.value(self.path, line, problem.column, problem.problem, problem.hint)
