"""A session that the server ended is replaced. Each test has a process of its own: a process has one open session."""

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
RELEASED = """
import sys
from lakehouse.session import open_session

first = open_session(sys.argv[1])
print(first.client._builder.endpoint, first.range(3).count())
first.client.release_session()
second = open_session(sys.argv[1])
print(second.client._builder.endpoint, second.range(4).count(), second is first)
second.stop()
"""


def printed(code: str, *arguments: str, **variables: str) -> list[str]:
    """The words that the code prints."""
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout.split()


def test_a_session_that_the_embedded_engine_ended_is_replaced() -> None:
    assert printed(IDLE, SAIL_SPARK__SESSION_TIMEOUT_SECS="2") == ["3", "4", "False"]


def test_the_embedded_engine_is_told_to_keep_an_idle_session_for_a_day() -> None:
    open_session()
    assert int(os.environ["SAIL_SPARK__SESSION_TIMEOUT_SECS"]) > 24 * 3600


@pytest.mark.jvm
@pytest.mark.skipif(not available(), reason="no java on the PATH")
def test_a_session_that_jvm_spark_ended_is_replaced(jvm_spark: str) -> None:
    address = jvm_spark.removeprefix("sc://")
    assert printed(RELEASED, jvm_spark) == [address, "3", address, "4", "False"]
