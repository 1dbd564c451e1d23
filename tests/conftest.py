"""What every test shares: drawn examples that repeat themselves; the project, built once for those that read it."""

import fcntl
import os
import shutil
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from benchmarks.harness.jvm_spark import jvm_spark_connect
from tests.checkout import Checkout

# The same examples in each run, and as much time as a loaded machine needs. To look for new ones:
# pytest --hypothesis-profile exploring
settings.register_profile(
    "repeated", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("exploring", settings.get_profile("repeated"), derandomize=False)
settings.load_profile("repeated")

# A JVM here runs for a minute or two: compiling for longer runs took more than a third of its processor time.
# That alone would lessen the room for compiled code from 240 to 48 MB, which the build of the clothing reviews fills.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=240m")

# What the project's commands compile, they keep, as they do for a person: compiled anew, their modules take a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would the commands that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout after `dbt build`. Tests read its tables and leave them as they are.

    The first worker that needs it builds it, and the others wait for it.
    """
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "built"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "done").exists():
            return Checkout.at(folder)
        shutil.rmtree(folder / "project", ignore_errors=True)  # another worker's, whose build failed
        checkout = Checkout.below(folder)
        checkout.type_line("dbt build")
        (folder / "done").touch()
        return checkout


@pytest.fixture(scope="session")
def jvm_spark() -> Iterator[str]:
    """The address of JVM Spark. It takes longer to start than most tests that need it, and answers them all."""
    with jvm_spark_connect() as remote:
        yield remote
