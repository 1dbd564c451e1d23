"""Spark SQL on Sail: what Sail lacks is written otherwise, and what it would answer wrongly is refused."""

from functools import lru_cache

from dbt.adapters.embedded.dialect.functions import rewrite
from dbt.adapters.embedded.dialect.lexer import Unreadable, tokens
from dbt.adapters.embedded.dialect.shapes import reshape
from pyspark.sql import SparkSession


def translated(session: SparkSession, sql: str) -> str:
    """The statement for this engine; a statement for Spark on the JVM stays as it is.

    Raises:
        LakehouseError: the engine would answer it wrongly, or lacks it and has no equivalent.
    """
    if on_jvm(session):
        return sql
    try:
        return reshape(rewrite(sql, tokens(sql)), session.sql)
    except Unreadable:
        return sql  # the engine refuses it, with the position


@lru_cache(maxsize=8)
def on_jvm(session: SparkSession) -> bool:
    """True for Spark on the JVM, which has a master."""
    return session.conf.get("spark.master", "") != ""
