"""Processor time and memory of the processes of one session."""

import subprocess
import sys

from benchmarks.harness.process_session import processor_seconds, resident_bytes

PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-S", "-c", "sum(range(5_000_000))"])
print("ended", flush=True)
sys.stdin.read()
"""


def test_the_time_of_ended_children_counts_and_other_sessions_do_not() -> None:
    with subprocess.Popen(
        [sys.executable, "-S", "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert processor_seconds(process.pid) >= 0.04
        assert resident_bytes(process.pid) > 2**20
        process.communicate()
    assert processor_seconds(process.pid) == 0
    assert resident_bytes(process.pid) == 0
