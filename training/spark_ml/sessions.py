"""The Spark session that a learner needs, or the reason why there is none."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.utils import is_remote

from lakehouse.errors import LakehouseError
from lakehouse.session import classic_session, open_session, require_java, workspace_session
from lakehouse.settings import Settings


class SparkMlMissing(LakehouseError):
    """The engine has no Spark ML."""

    @classmethod
    def on(cls, engine: str, families: Sequence[str]) -> "SparkMlMissing":
        return cls(
            f"Spark ML fits {' and '.join(families)}, and {engine} has none",
            hint="Run `make spark` (Java 17) and set SPARK_REMOTE to the address that it prints, or search other "
            "families.",
        )


class ClassicSparkNeeded(LakehouseError):
    """A learner needs a classic session, and Spark Connect is in use."""

    @classmethod
    def instead_of(cls, address: str, families: Sequence[str]) -> "ClassicSparkNeeded":
        return cls(
            f"{' and '.join(families)} cannot run over Spark Connect ({address}): the Spark estimator of XGBoost 3.2 "
            "calls sparkContext, which Connect lacks",
            hint="Unset SPARK_REMOTE and set SPARK_MASTER, such as local[2] (Java 17); on Databricks, use a cluster "
            "with dedicated access. Or search xgboost.",
        )


def require_spark_ml(families: Sequence[str], settings: Settings) -> None:
    """Check that the session of the feature store can fit by Spark ML.

    Raises:
        SparkMlMissing: it is Sail, or another server without Spark ML.
    """
    if not families:
        return
    if not settings.in_workspace and settings.remote is None:
        raise SparkMlMissing.on("the embedded engine", families)
    session = workspace_session() if settings.in_workspace else open_session(settings.remote)
    from pyspark.ml.feature import VectorAssembler

    try:
        VectorAssembler(inputCols=["id"], outputCol="vector").transform(session.range(1)).schema  # noqa: B018
    except PySparkException as err:
        engine = f"the server at {settings.remote}" if settings.remote else "this workspace's compute"
        raise SparkMlMissing.on(engine, families) from err


def require_classic(families: Sequence[str], settings: Settings) -> None:
    """Check that a classic session can be opened.

    Raises:
        ClassicSparkNeeded: Spark Connect is in use.
        JavaNotFound: there is no Java on the PATH.
    """
    if not families:
        return
    if settings.remote is not None:
        raise ClassicSparkNeeded.instead_of(settings.remote, families)
    if settings.in_workspace:
        workspace_session()
        if is_remote():
            raise ClassicSparkNeeded.instead_of("this workspace's compute", families)
        return
    require_java()


@contextmanager
def session_of(master: str | None) -> Iterator[SparkSession]:
    """A classic session: on `master`, or the session of the workspace."""
    if master is None:
        yield workspace_session()
        return
    with classic_session(master) as session:
        yield session
