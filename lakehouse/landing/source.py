"""Content of a landing file as UTF-8: unpacked, and decoded from its declared encoding."""

import codecs
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa

from lakehouse.landing.errors import Correction, LandingFileMissing, LandingFileRefused

BLOCK = 4 * 2**20
_UNREADABLE = (
    pa.ArrowInvalid,
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
MARKS = {  # byte order marks
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    codecs.BOM_UTF8: "utf-8",
}
_CONTROL = re.compile("[\x80-\x9f]")


def text_blocks(path: Path, encoding: str) -> Iterator[bytes]:
    """Content of a file in blocks of UTF-8, without a byte order mark. The ending of the path marks gzip and zip.

    Raises:
        LandingFileMissing: the file does not exist.
        LandingFileRefused: the file is a broken or undeclared archive, or has another encoding.
    """
    if not path.is_file():
        raise LandingFileMissing.at(path)
    decoding = _Decoding(path, encoding)
    is_first = True
    with _unpacked(path) as file:
        while block := _read(path, file, BLOCK):
            if is_first:
                _require_declared(path, block, encoding)
            text = decoding.decode(block)
            yield text.removeprefix(codecs.BOM_UTF8) if is_first else text
            is_first = False
    decoding.finish()


def first_bytes(path: Path, count: int) -> bytes:
    """The first bytes of a file as they are, but unpacked.

    Raises:
        LandingFileRefused: the file cannot be read, or is a broken archive.
    """
    with _unpacked(path) as file:
        return _read(path, file, count)


def line_ends(text: bytes) -> int:
    """Number of line ends: those of Unix, Windows and old Macs."""
    characters = np.frombuffer(text, np.uint8)
    ends = int(np.count_nonzero(characters == ord("\n")))
    return ends + text.count(b"\r") - text.count(b"\r\n") if b"\r" in text else ends


class _Decoding:
    """Decodes the blocks of a file one after the other, and finds a wrong encoding."""

    def __init__(self, path: Path, encoding: str) -> None:
        self.path, self.encoding = path, encoding
        self.codec = codecs.lookup(encoding).name
        self.decoder: Any = codecs.getincrementaldecoder(encoding)()
        self.bytes, self.line, self.ends_in_return = 0, 1, False  # of what is read so far
        self.has_no_nul = not self.codec.startswith(("utf-16", "utf-32"))
        # Text in UTF-8 is valid in most one-byte encodings too, with two wrong letters for each umlaut.
        self.utf8: Any = None if self.codec.startswith("utf-") else codecs.getincrementaldecoder("utf-8")()
        self.first_umlaut: tuple[int, int] | None = None

    def decode(self, block: bytes, final: bool = False) -> bytes:
        """The next block in UTF-8.

        Raises:
            LandingFileRefused: a byte is impossible in the encoding, or impossible in a text.
        """
        if self.has_no_nul and (start := block.find(b"\0")) >= 0:
            before = block[:start].decode(self.encoding, "ignore")
            self._refuse(
                self.bytes + start, before, "is NUL, which UTF-16 has beside each letter", "such as utf-16-le"
            )
        pending = len(self.decoder.getstate()[0])
        try:
            text: str = self.decoder.decode(block, final)
        except UnicodeError as err:
            start = err.start if isinstance(err, UnicodeDecodeError) else 0
            before = block[: max(start - pending, 0)].decode(self.encoding, "ignore")
            likely = (
                "such as cp1252 for exports from Windows in Western Europe"
                if self.codec == "utf-8"
                else "another one"
            )
            self._refuse(self.bytes - pending + start, before, _reason(err), likely, err)
        if self.codec == "iso8859-1" and (control := _CONTROL.search(text)):
            before = text[: control.start()]
            self._refuse(
                self.bytes + len(before), before, f"is {ord(control[0]):#04x}, a control character", "probably cp1252"
            )
        self._compare_with_utf8(block, final)
        self.bytes += len(block)
        encoded = text.encode()
        self.line += line_ends(encoded) - (self.ends_in_return and encoded.startswith(b"\n"))
        self.ends_in_return = encoded.endswith(b"\r")
        return encoded

    def finish(self) -> None:
        """Check that the file does not end within a character, and that it is not UTF-8 under another name.

        Raises:
            LandingFileRefused: it is.
        """
        self.decode(b"", final=True)
        if self.utf8 is not None and self.first_umlaut is not None:
            byte, line = self.first_umlaut
            raise LandingFileRefused.encoding(
                self.path,
                self.encoding,
                (byte + 1, line),
                "and all others beyond ASCII are UTF-8",
                Correction("encoding", "utf-8"),
            )

    def _compare_with_utf8(self, block: bytes, final: bool) -> None:
        if self.utf8 is None or (block.isascii() and not self.utf8.getstate()[0] and not final):
            return
        try:
            self.utf8.decode(block, final)
        except UnicodeDecodeError:
            self.utf8 = None
            return
        if self.first_umlaut is None and not block.isascii():
            start = next(re.finditer(rb"[\x80-\xff]", block)).start()
            self.first_umlaut = self.bytes + start, self.line + block.count(b"\n", 0, start)

    def _refuse(self, byte: int, before: str, problem: str, likely: str, cause: Exception | None = None) -> NoReturn:
        line = self.line + line_ends(before.encode())
        correction = Correction("encoding", example=likely)
        raise LandingFileRefused.encoding(self.path, self.encoding, (byte + 1, line), problem, correction) from cause


def _reason(err: UnicodeError) -> str:
    if not isinstance(err, UnicodeDecodeError):
        return f"does not start a byte order mark ({err})"
    return f"is {err.object[err.start]:#04x}, which is impossible there ({err.reason})"


def _require_declared(path: Path, block: bytes, encoding: str) -> None:
    """Check the first bytes of an unpacked file.

    Raises:
        LandingFileRefused: the file is an archive, or its byte order mark contradicts the encoding.
    """
    for mark, kind in {b"PK\x03\x04": "zip", b"\x1f\x8b": "gz"}.items():
        if block.startswith(mark):
            excel = ", or to .xlsx if it is a workbook of Excel" if kind == "zip" else ""
            raise LandingFileRefused(
                f"the landing file {path} starts like a .{kind} archive, and its name does not end in .{kind}",
                hint=f"Rename it to {path.name}.{kind}{excel}.",
                correction=Correction("path", f"FOLDER/{path.name}.{kind}"),
            )
    name = codecs.lookup(encoding).name
    for mark, encoded in MARKS.items():
        if block.startswith(mark) and not name.startswith(encoded):
            raise LandingFileRefused.encoding(
                path,
                encoding,
                (1, 1),
                f"is {block[0]:#04x}, where the byte order mark of {encoded} starts",
                Correction("encoding", encoded),
            )


def _read(path: Path, file: Any, count: int) -> bytes:
    try:
        block: bytes = file.read(count)
    except _UNREADABLE as err:
        raise LandingFileRefused.unreadable(path, err) from err
    return block


@contextmanager
def _unpacked(path: Path) -> Iterator[Any]:
    with ExitStack() as opened:
        try:
            if path.suffix != ".zip":
                file = opened.enter_context(pa.input_stream(path))
            else:
                archive = opened.enter_context(zipfile.ZipFile(path))
                file = opened.enter_context(archive.open(_only_member(archive)))
        except (*_UNREADABLE, RuntimeError) as err:
            raise LandingFileRefused.unreadable(path, err) from err
        yield file


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    # A Mac adds files of its own below __MACOSX.
    members = [file for file in archive.infolist() if not file.is_dir() and not file.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        raise ValueError(f"the archive must hold one file, and holds {[file.filename for file in members]}")
    return members[0]
