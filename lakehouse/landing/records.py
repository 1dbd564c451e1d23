"""Records of a delimited text, cut where no quote is open."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lakehouse.landing.errors import Correction, LandingFileRefused
from lakehouse.landing.options import LandingOptions
from lakehouse.landing.source import line_ends

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.intp]
LONGEST = 64 * 2**20  # bytes of a record; a longer one is an open quote more likely than a value


@dataclass(frozen=True)
class Chunk:
    """Complete records in UTF-8, and the line on which they start."""

    text: bytes
    line: int

    def behind(self, end: int) -> "Chunk":
        """The chunk without the records before a position."""
        return Chunk(self.text[end:], self.line + line_ends(self.text[:end]))


@dataclass(frozen=True)
class LandedRecord:
    """A record with its quotes resolved.

    Attributes:
        line: line on which it starts.
        end: position behind it in the text of its chunk.
    """

    line: int
    fields: list[str]
    is_blank: bool
    end: int


class Quoting:
    """Rules of quotes and delimiters of a file.

    A quote at the start of a field opens a value and ends before a delimiter or a line end. Any other quote is a
    character of its value. Text behind a closing quote is refused, because such a file has lost a quote: the rows up
    to the next quote would be a single value.
    """

    def __init__(self, path: Path, options: LandingOptions) -> None:
        self.path, self.options = path, options
        self.delimiter = options.delimiter.encode()
        self.escape = None if options.escape is None else options.escape.encode()
        delimiter, escape = re.escape(self.delimiter), re.escape(self.escape or b"")
        pair = rb'""|%s.' % escape if escape else rb'""'
        quoted = rb'"[^"%s]*+(?:(?:%s)[^"%s]*+)*+"' % (escape, pair, escape)
        field = rb'(?:%s|(?!")[^%s\r\n]*+)' % (quoted, delimiter)
        # A carriage return at the end of a text may be half of a line end of Windows.
        record = rb"(?:%s(?:%s%s)*+(?:\r?\n|\r(?!\n|\Z)))" % (field, delimiter, field)
        self.quoted, self.field = re.compile(quoted, re.DOTALL), re.compile(field, re.DOTALL)
        self.record, self.records_only = re.compile(record, re.DOTALL), re.compile(record + b"*+", re.DOTALL)
        self.escaped = re.compile(rb'%s(["%s])' % (escape, escape)) if escape else None
        self.beside_quotes = np.zeros(256, bool)
        self.beside_quotes[[*self.delimiter, *b'\r\n"']] = True

    def chunks(self, blocks: Iterable[bytes], line: int = 1) -> Iterator[Chunk]:
        """Cut blocks of text, which starts on a line of the file, into complete records, whose quotes are checked.

        Raises:
            LandingFileRefused: text follows a closing quote, a quote is never closed, or a record is too long.
        """
        pending, wanted = b"", 0
        for block in blocks:
            pending += block
            if len(pending) < wanted:
                continue
            end = self._end_of_records(pending, line)
            if end:
                yield Chunk(self._without_escapes(pending[:end]), line)
                line += line_ends(pending[:end])
                pending = pending[end:]
            elif len(pending) > LONGEST:
                raise self._refused(line, f"starts a record of more than {LONGEST:,} bytes", "Close its quotes.")
            # Twice as much text before the next look, so that a long record is not read over and over.
            wanted = 2 * len(pending) if not end else 0
        self._end_of_records(pending, line, is_last=True)
        if pending:
            yield Chunk(self._without_escapes(pending), line)

    def records(self, chunk: Chunk) -> Iterator[LandedRecord]:
        """Records of a chunk one by one, which is slow."""
        text, position, line = chunk.text, 0, chunk.line
        while position < len(text):
            start, values = position, list[bytes]()
            for field in self._fields(text, position):
                is_quoted, position = field[0].startswith(b'"'), field.end()
                values.append(field[0][1:-1].replace(b'""', b'"') if is_quoted else field[0])
            is_blank = position == start
            position += 2 if text.startswith(b"\r\n", position) else 1
            yield LandedRecord(line, [value.decode() for value in values], is_blank, min(position, len(text)))
            line += line_ends(text[start:position])

    def _fields(self, text: bytes, position: int) -> Iterator[re.Match[bytes]]:
        """Fields of the record at a position, up to its end or to a quote that is not closed."""
        while (field := self.field.match(text, position)) is not None:
            yield field
            if not text.startswith(self.delimiter, field.end()):
                return
            position = field.end() + 1

    def _end_of_records(self, text: bytes, line: int, is_last: bool = False) -> int:
        """Length of the complete records at the start of a text, after a check of all quotes."""
        if self.escape is None:
            characters = np.frombuffer(text, np.uint8)
            quotes = np.flatnonzero(characters == ord('"')) if b'"' in text else np.array([], np.intp)
            if self._take_turns(characters, quotes) and not (is_last and len(quotes) % 2):
                return _end_outside(text, quotes)
        complete = self.records_only.match(text)
        end = 0 if complete is None else complete.end()
        self._require_closed(text, end, line, is_last)
        return end

    def _take_turns(self, characters: Bytes, quotes: Positions) -> bool:
        """Return True if quotes open and close values in turn: the fast check, which most files pass."""
        opens, closes = quotes[::2], quotes[1::2]
        # Two quotes side by side are one character of a value, or an empty value.
        opening = self.beside_quotes[characters[opens - 1]]
        opening[:1] |= opens[:1] == 0
        closing = self.beside_quotes[characters[np.minimum(closes + 1, len(characters) - 1)]]
        closing[-1:] |= closes[-1:] == len(characters) - 1
        return bool(opening.all() and closing.all())

    def _require_closed(self, text: bytes, position: int, line: int, is_last: bool) -> None:
        """Check the quotes of the record that starts at a position, and may be incomplete.

        Raises:
            LandingFileRefused: text follows a closing quote, or a quote is never closed.
        """
        while (field := self.field.match(text, position)) is not None:
            end = field.end()
            if not text.startswith(self.delimiter, end):
                if end < len(text) and text[end] not in b"\r\n":
                    raise self._behind_a_quote(text, position, end, line)
                return
            position = end + 1
        if is_last:
            problem = f"has an opening quote that is never closed: {_first_line(text, position)!r}"
            hint = "Close the quote, or double it within a value."
            raise self._refused(line + line_ends(text[:position]), problem, hint)

    def _without_escapes(self, text: bytes) -> bytes:
        """Text whose escaped quotes are doubled instead; an escape character outside quotes stays."""
        if self.escape is None or self.escape not in text:
            return text
        return self.record.sub(self._unescape_record, text + b"\n")[:-1]

    def _unescape_record(self, record: re.Match[bytes]) -> bytes:
        if self.escape is None or self.escape not in record[0]:
            return record[0]
        return self.field.sub(self._unescape_field, record[0])

    def _unescape_field(self, field: re.Match[bytes]) -> bytes:
        if self.escaped is None or not field[0].startswith(b'"'):
            return field[0]
        return self.escaped.sub(_unescape, field[0])

    def _behind_a_quote(self, text: bytes, start: int, position: int, line: int) -> LandingFileRefused:
        opened, closed = line + line_ends(text[:start]), line + line_ends(text[:position])
        header = text.splitlines()[0]
        if closed == 1 and self.delimiter not in header:
            found = [header.decode(errors="ignore")]
            return LandingFileRefused.header(self.path, found, self.options.file_header, self.options.delimiter)
        rest = text[position : position + 40].decode(errors="ignore").splitlines()[0]
        where = "" if closed == opened else f" in line {closed}"
        is_escaped = text[position - 2] == ord("\\") and self.escape is None
        hint = "" if is_escaped else "Close the quote in that line, or double each quote within a value."
        correction = Correction("escape", '"\\\\"', condition="a backslash escapes quotes in this file")
        value = _first_line(text, start)
        return self._refused(
            opened,
            f"has text behind the closing quote{where}: {value!r} ends before {rest!r}",
            hint,
            correction if is_escaped else None,
        )

    def _refused(
        self, line: int, problem: str, hint: str, correction: Correction | None = None
    ) -> LandingFileRefused:
        return LandingFileRefused.line(self.path, line, problem, hint, correction)


def _end_outside(text: bytes, quotes: Positions) -> int:
    """Position behind the last line end that is in no value within quotes, or 0."""
    stop = len(text) if len(quotes) % 2 == 0 else int(quotes[-1])
    for closing in range(len(quotes) // 2 * 2 - 1, -1, -2):
        if end := _last_line_end(text, int(quotes[closing]), stop):
            return end
        stop = int(quotes[closing - 1])
    return _last_line_end(text, 0, stop)


def _last_line_end(text: bytes, begin: int, stop: int) -> int:
    # A carriage return at the end of the text may be half of a line end of Windows.
    return max(text.rfind(b"\n", begin, stop), text.rfind(b"\r", begin, min(stop, len(text) - 1))) + 1


def _first_line(text: bytes, start: int) -> str:
    begin = max(text.rfind(b"\n", 0, start), text.rfind(b"\r", 0, start)) + 1
    return text[begin : begin + 60].decode(errors="ignore").splitlines()[0]


def _unescape(match: re.Match[bytes]) -> bytes:
    return b'""' if match[1] == b'"' else match[1]
