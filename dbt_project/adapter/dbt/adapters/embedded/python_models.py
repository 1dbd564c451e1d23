"""Execution of dbt Python models in the session of this process."""

from typing import Any, cast

import pandas as pd
from dbt.adapters.base.impl import PythonJobHelper
from dbt.adapters.embedded.connections import EmbeddedCredentials
from dbt.adapters.embedded.publication import table_spec
from dbt.adapters.embedded.tables import TableWriter
from dbt_common.exceptions import DbtRuntimeError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql.connect.session import SparkSession as ConnectSession

from lakehouse.errors import LakehouseError
from lakehouse.tables.warehouse import TableName


class SessionPythonJob(PythonJobHelper):
    """Job that runs the compiled code and writes the frame that `model` returns."""

    def __init__(self, parsed_model: dict[str, Any], credentials: Any) -> None:
        self._model = parsed_model
        self._credentials: EmbeddedCredentials = credentials

    def submit(self, compiled_code: str) -> None:
        """Run the code compiled by `py_write_table`, which defines `frame` and `target`.

        Raises:
            DbtRuntimeError: the model failed; an error of this project keeps its message, without a traceback.
        """
        session = self._credentials.session()
        # pandas on Spark reads the active session, which is local to the thread.
        ConnectSession._set_default_and_active_session(cast(ConnectSession, session))
        names: dict[str, Any] = {"spark": session, "__name__": "dbt_model"}
        try:
            # The code is a model of this project. dbt's templates leave blanks before its first line.
            exec(compile(compiled_code.lstrip(), self._model["original_file_path"], "exec"), names)  # noqa: S102
            self._write(self._as_frame(names["frame"]), *names["target"])
        except (LakehouseError, PySparkException) as err:
            raise DbtRuntimeError(str(err)) from err

    def _write(self, frame: DataFrame, schema: str | None, identifier: str) -> None:
        if schema is None:
            frame.createOrReplaceTempView(identifier)
            return
        writer = TableWriter(self._credentials.session(), self._credentials.lakehouse)
        writer.write(frame, TableName(schema, identifier), table_spec(self._model))

    def _as_frame(self, returned: object) -> DataFrame:
        if isinstance(returned, pd.DataFrame):
            return self._credentials.session().createDataFrame(returned)
        if type(returned).__module__.startswith("pyspark.pandas"):  # its import takes a second
            returned = cast(Any, returned).to_spark()
        # Every kind of session has its own subclass of this DataFrame class.
        if isinstance(returned, DataFrame):
            return returned
        raise DbtRuntimeError(
            f"the model returned a {type(returned).__name__}; return a PySpark or pandas DataFrame instead"
        )
