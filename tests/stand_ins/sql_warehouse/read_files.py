"""`read_files`, which vanilla Spark lacks, as a view of Spark's own reader.

Each call becomes a global temporary view of `spark.read` with the same format, schema and options. `_metadata` is a
column of it. Without a schema, the schemas of Parquet files are merged, but there is no column `_rescued_data`. Paths
must be below `/Volumes`, which is a folder of this machine.
"""

import itertools
from pathlib import Path
from typing import Any

from tests.stand_ins.sql_warehouse.statements import Refused, Token, calls, text

# Options of `read_files` that Spark's readers have under the same name.
OPTIONS = {"header", "sep", "mode", "multiLine", "escape", "encoding", "quote", "nullValue", "pathGlobFilter"}
FORMATS = {"csv", "parquet", "json"}
_NUMBERS = itertools.count()


class ReadFiles:
    """Translates the calls of `read_files` in a statement."""

    def __init__(self, session: Any, volumes: Path) -> None:
        self._session, self._volumes = session, volumes

    def translated(self, sql: str) -> str:
        """Statement with each call replaced by the name of a view.

        Raises:
            Refused: an argument is unknown, or the path is not in a volume or does not exist.
        """
        for call, arguments in calls(sql, "read_files"):
            sql = sql.replace(call, self._view(arguments))
        return sql

    def _view(self, arguments: list[list[Token]]) -> str:
        path, *rest = arguments
        if len(path) != 1 or path[0].kind != "text":
            raise Refused("DATATYPE_MISMATCH.NON_FOLDABLE_INPUT", "the path of read_files must be a literal")
        options = dict(map(_option, rest))
        form, schema = options.pop("format", None), options.pop("schema", None)
        if form not in FORMATS:
            raise Refused("UNSUPPORTED_READ_FILES_FORMAT", f"format => {form}; known: {', '.join(sorted(FORMATS))}")
        reader = self._session.read.format(form).options(**options)
        if schema is not None:
            reader = reader.schema(schema)
        elif form == "parquet":
            reader = reader.option("mergeSchema", "true")
        else:
            raise Refused("STAND_IN", "this stand-in infers the schema of Parquet files only")
        rows = reader.load(str(self._local(text(path[0].text))))
        view = f"read_files_{next(_NUMBERS)}"
        rows.select("*", "_metadata").createOrReplaceGlobalTempView(view)
        return f"global_temp.{view}"

    def _local(self, path: str) -> Path:
        parts = path.split("/")
        if parts[:2] != ["", "Volumes"] or len(parts) < 6 or ".." in parts:
            raise Refused("INVALID_PARAMETER_VALUE", f"{path} is not /Volumes/catalog/schema/volume/path")
        local = self._volumes.joinpath(*parts[2:])
        if not any(local.parent.glob(local.name)):
            raise Refused("CLOUD_FILE_SOURCE_FILE_NOT_FOUND", f"{path} does not exist")
        return local


def _option(tokens: list[Token]) -> tuple[str, str]:
    if len(tokens) != 3 or tokens[1].text != "=>":
        raise Refused("PARSE_SYNTAX_ERROR", f"not an argument: {' '.join(each.text for each in tokens)}")
    option, value = tokens[0].text, tokens[2]
    if option not in OPTIONS | {"format", "schema"}:
        raise Refused("UNRECOGNIZED_PARAMETER_NAME", f"read_files has no parameter {option}")
    return option, text(value.text) if value.kind == "text" else value.text
