"""dbt Python models, run in the session of this process."""

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
from lakehouse.warehouse import TableName


class SessionPythonJob(PythonJobHelper):
    """Runs the compiled code and writes the frame that `model` returns."""

    def __init__(self, parsed_model: dict[str, Any], credentials: Any) -> None:
        self._model = parsed_model
        self._credentials: EmbeddedCredentials = credentials

    def submit(self, compiled_code: str) -> None:
        """Run the code that `py_write_table` compiled: it defines `frame` and `target`.

        Raises:
            DbtRuntimeError: the model failed; an error of this project is told by its message alone.
        """
        session = self._credentials.session()
        # What pandas on Spark asks for; it is each thread's own.
        ConnectSession._set_default_and_active_session(cast(ConnectSession, session))
        names: dict[str, Any] = {"spark": session, "__name__": "dbt_model"}
        try:
            # Running the project's own models is what dbt is for.
            # dbt's templates leave blanks before the first line.
            exec(compile(compiled_code.lstrip(), self._model["original_file_path"], "exec"), names)  # noqa: S102
            self._store(self._as_frame(names["frame"]), *names["target"])
        except (LakehouseError, PySparkException) as err:
            raise DbtRuntimeError(str(err)) from err

    def _store(self, frame: DataFrame, schema: str | None, identifier: str) -> None:
        if schema is None:
            frame.createOrReplaceTempView(identifier)
            return
        writer = TableWriter(self._credentials.session(), self._credentials.lakehouse)
        writer.write(frame, TableName(schema, identifier), table_spec(self._model))

    def _as_frame(self, returned: object) -> DataFrame:
        if isinstance(returned, pd.DataFrame):
            return self._credentials.session().createDataFrame(returned)
        if type(returned).__module__.startswith("pyspark.pandas"):  # which takes a second to import
            returned = cast(Any, returned).to_spark()
        # Each kind of session has a DataFrame class of its own, and all are this one's subclasses.
        if isinstance(returned, DataFrame):
            return returned
        raise DbtRuntimeError(
            f"the model returned a {type(returned).__name__}; return a PySpark or pandas DataFrame instead"
        )
