"""Text of exceptions from elsewhere, made fit for a caller: without paths of this machine and without passwords."""

import re
import sys
import tempfile
from pathlib import Path

from lakehouse.settings import PROJECT

_ROOTS = sorted(
    {str(Path(root)) for root in (PROJECT, Path.home(), Path.cwd(), tempfile.gettempdir(), sys.prefix)} - {"/"},
    key=len,
    reverse=True,
)
# Below a known folder a path may hold blanks, so it ends at a quote, a colon or the end of the line.
_BELOW_ROOT = re.compile("(?:" + "|".join(map(re.escape, _ROOTS)) + r""")(?![\w.-])[^'"`\n:;,<>()\[\]]*""")
# Elsewhere it has two parts at least. `/path` alone is a route, and `//host/path` belongs to a URL.
_ABSOLUTE = re.compile(r"""(?<![\w.~/:-])(?:[A-Za-z]:)?/[^\s/'"`:;,<>()\[\]]+(?:/[^\s/'"`:;,<>()\[\]]+)+""")
_FILE_URI = re.compile(r"""\b(file|sqlite)://+[^\s'"`;,<>()\[\]]*""")
_PASSWORD = re.compile(r"(?<=://)[^/\s@]+@")


def without_paths(text: str) -> str:
    """The text with each path reduced to its last part, and without the account in a URL.

    >>> without_paths("FileNotFoundError: [Errno 2] No such file or directory: '/srv/models/m-1/MLmodel'")
    "FileNotFoundError: [Errno 2] No such file or directory: '.../MLmodel'"
    >>> without_paths("cannot open sqlite:////srv/mlflow.db; see https://me:secret@mlflow.example/api/2.0")
    'cannot open sqlite:.../mlflow.db; see https://***@mlflow.example/api/2.0'
    """
    text = _PASSWORD.sub("***@", text)
    text = _FILE_URI.sub(lambda found: f"{found[1]}:{_last(found[0])}", text)
    return _ABSOLUTE.sub(lambda found: _last(found[0]), _BELOW_ROOT.sub(lambda found: _last(found[0]), text))


def _last(path: str) -> str:
    return f".../{path.rstrip('/ ').rpartition('/')[2]}"
