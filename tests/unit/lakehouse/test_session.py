"""A session that the server ended is replaced."""

import os
import subprocess
import sys

import pytest

from benchmarks.harness.jvm_spark import available
from lakehouse.session import open_session

IDLE = """
import time
from lakehouse.session import open_session

first = open_session()
print(first.range(3).count())
time.sleep(5)
print(open_session().range(4).count(), open_session() is first)
"""


def test_a_session_that_the_embedded_engine_ended_is_replaced() -> None:
    variables = os.environ | {"SAIL_SPARK__SESSION_TIMEOUT_SECS": "2"}
    command = [sys.executable, "-c", IDLE]
    process = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == ["3", "4", "False"]


def test_the_embedded_engine_is_told_to_keep_an_idle_session_for_a_day() -> None:
    open_session()
    assert int(os.environ["SAIL_SPARK__SESSION_TIMEOUT_SECS"]) > 24 * 3600


@pytest.mark.jvm
@pytest.mark.skipif(not available(), reason="no java on the PATH")
def test_a_session_that_jvm_spark_ended_is_replaced(jvm_spark: str) -> None:
    first = open_session(jvm_spark)
    first.client.release_session()
    second = open_session(jvm_spark)
    assert second is not first
    assert second.range(4).count() == 4
    second.stop()
