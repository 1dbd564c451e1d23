"""Options of landing files: errors name the option, its value and the correction."""

from datetime import date
from typing import Any

import pytest

from lakehouse.landing.errors import LandingOptionsRefused
from lakehouse.landing.options import LandingOptions

DECLARED = {"path": "a.csv", "columns": ["id", "price", "born"], "delimiter": ";"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encodin": "utf-8"}, "encodin: no such option. Did you mean 'encoding'?"),
        ({"columns": []}, "columns: "),
        ({"columns": "id"}, "columns: Input should be a valid tuple (got 'id')"),
        ({"columns": ["id", False, "born"]}, "columns: Input should be a valid string (got False). YAML reads some"),
        ({"columns": ["id", 10, "born"]}, "(got 10). YAML reads some words and numbers as something else"),
        ({"columns": ["id", date(2024, 1, 1), "born"]}, "put it in quotes"),
        ({"columns": ["id", None, "born"]}, "(got None). YAML reads some words"),
        (
            {"columns": ["id", "name", "name"]},
            "columns: names a column twice: name, name; write the file's names into",
        ),
        ({"columns": ["id", "name", "Name"]}, "names a column twice: name, Name"),
        ({"columns": ["id", "row_number", "x"]}, "names a column row_number, which the build adds; write the file's"),
        ({"columns": ["id", "Row_Number", "x"]}, "names a column row_number"),
        ({"columns": ["id", "", "x"]}, "names a column without a name"),
        ({"header": ["id"]}, "`header` has 1 names, and `columns` has 3"),
        ({"delimiter": "||"}, "delimiter: must be one ASCII character"),
        ({"delimiter": ""}, "delimiter: must be one ASCII character"),
        ({"delimiter": '"'}, "neither a quote nor a line end"),
        ({"delimiter": "\u00a7"}, "delimiter: must be one ASCII character"),
        ({"escape": ";"}, "`escape` and `delimiter` are the same character ';'"),
        ({"encoding": "cp1525"}, "encoding: is not a known encoding. Did you mean 'cp1252'? (got 'cp1525')"),
        ({"encoding": 1252}, "encoding: Input should be a valid string (got 1252)"),
        ({"encoding": "base64"}, "encoding: is not an encoding of text files"),
        ({"encoding": "unicode_escape"}, "encoding: is not an encoding of text files"),
        ({"decimal": ","}, "`decimal` and `thousands` need `numbers`, the list of columns"),
        ({"numbers": ["price"], "thousands": "."}, "`decimal` and `thousands` are the same character '.'"),
        ({"numbers": ["price"], "decimal": "5"}, "decimal: must be one character that numbers do not use otherwise"),
        ({"numbers": ["prize"]}, "no column 'prize'. Did you mean 'price'?"),
        ({"numbers": ["born"], "texts": ["born"]}, "`numbers`, `dates` and `texts` name a column twice: born"),
        ({"dates": ["born"]}, "`date_format` and `dates`, the list of columns it applies to, need each other"),
        ({"date_format": "dd.MM.yyyy"}, "need each other"),
        ({"dates": ["born"], "date_format": "dd.mm.yyyy"}, "MM are months and mm minutes, such as dd.MM.yyyy"),
        ({"dates": ["born"], "date_format": "%d.%m.%Y"}, "date_format: must be made of d, dd, M, MM, MMM, yy, yyyy"),
        ({"dates": ["born"], "date_format": "dd.MM.y"}, "date_format: must be made of"),
        ({"dates": ["born"], "date_format": "MM.yyyy"}, "date_format: must be made of"),
        ({"dates": ["born"], "date_format": "dd.MM.yyyy ss"}, "date_format: must be made of"),
        ({"embedded_rows": "yes"}, "embedded_rows: Input should be a valid boolean (got 'yes')"),
    ],
)
def test_error_names_the_option(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LandingOptionsRefused, match="the `landing_file` of the model raw_x is invalid") as refused:
        LandingOptions.of("raw_x", DECLARED | options)
    assert message in str(refused.value)
    assert "Correct `landing_file` in the model's .yml." in str(refused.value)


def test_error_lists_every_problem() -> None:
    with pytest.raises(LandingOptionsRefused, match=r"(?s)delimiter: .*encoding: "):
        LandingOptions.of("raw_x", DECLARED | {"delimiter": "", "encoding": "x"})


def test_a_missing_option_is_named() -> None:
    with pytest.raises(LandingOptionsRefused, match="delimiter: Field required"):
        LandingOptions.of("raw_x", {"path": "a.csv", "columns": ["id"]})
