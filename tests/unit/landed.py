"""Landing files for tests, and their rows or refusal."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.landing.errors import LandingFileRefused
from lakehouse.landing.landing_file import read_delimited
from lakehouse.landing.options import LandingOptions

COLUMNS = ["age", "job"]


def landed(folder: Path, text: str | bytes, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(path: Path, **options: Any) -> pa.Table:
    declared = {"path": path.name, "columns": COLUMNS, "delimiter": ";"} | options
    return read_delimited(path, LandingOptions.of("raw", declared))


def values(path: Path, column: str = "job", **options: Any) -> list[str]:
    texts: list[str] = read(path, **options)[column].to_pylist()
    return texts


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(LandingFileRefused) as refused:
        read(path, **options)
    return str(refused.value)
