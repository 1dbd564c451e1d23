"""Deployment of the champion as soon as a server in the foreground is ready."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic

import click

from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings

TICK = 0.1
END_SECONDS = 10.0  # for `follow` to give its lease back
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0  # before `follow` is started again after it was killed
FOLLOW = (sys.executable, "-m", "deployment.run", "follow", "--use-case")
COMMAND = (sys.executable, "-m", "deployment.commands.serving.deploy_when_ready")


@contextmanager
def deployed(
    settings: ServerSettings, name: str, *, follow: bool = False, webhook: tuple[str, ...] = ()
) -> Iterator[None]:
    """Deploy the champion to the server that the block runs in this process; stop the server if that fails.

    A child process reads the registry and calls the server: MLflow would otherwise stay in this process's memory.
    With `follow` it stays, and rolls out each new champion, told of it by a webhook if options name one.

    Raises:
        LakehouseError: The champion cannot be served; the message is that of the child process.
    """
    deployer = _Deployer(settings, name, follow=follow, webhook=webhook)
    deployer.start()
    try:
        yield
    finally:
        deployer.end()
    if deployer.failure:
        raise LakehouseError(deployer.failure)


class _Deployer(threading.Thread):
    """Waits for the server, then runs the child process."""

    def __init__(self, settings: ServerSettings, name: str, *, follow: bool, webhook: tuple[str, ...]) -> None:
        super().__init__(daemon=True)
        self.settings, self.use_case, self.follow, self.webhook = settings, name, follow, webhook
        self.failure = ""
        self._follower: subprocess.Popen[str] | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        while not _is_ready(self.settings):
            if self._ended.wait(TICK):
                return
        # A separate session: Ctrl-C reaches only the server, and this thread ends the child.
        with subprocess.Popen(
            [*COMMAND, self.use_case], cwd=self.settings.project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        ) as child:  # fmt: skip
            while child.poll() is None:
                if self._ended.wait(TICK):
                    child.terminate()
                    return
            output = child.communicate()[0].strip()
        if child.returncode == 0:
            console.detail(output)
            if self.follow:
                self._follow()
            return
        self.failure = output.removeprefix("Error: ") or f"the deployment of {self.use_case} failed without a message"
        os.kill(os.getpid(), signal.SIGTERM)  # the server shuts down cleanly on this signal

    def end(self) -> None:
        self._ended.set()
        if self._follower is not None:
            self._follower.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._follower.wait(END_SECONDS)
            self._follower.kill()  # does nothing if it has ended
        self.join()

    def _follow(self) -> None:
        """Print each line of `follow` until the server ends; start it again if it ends before."""
        pause = FIRST_PAUSE
        while not self._ended.is_set():
            since = monotonic()
            code = self._follow_once()
            pause = FIRST_PAUSE if monotonic() - since > LONGEST_PAUSE else pause
            if not self._ended.is_set():
                console.verbatim(f"`follow` ended with exit code {code}; it is started again in {pause:g} s")
            self._ended.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _follow_once(self) -> int:
        with subprocess.Popen(
            [*FOLLOW, self.use_case, *self.webhook], cwd=self.settings.project,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        ) as follower:  # fmt: skip
            self._follower = follower
            if self._ended.is_set():
                follower.terminate()
            for line in follower.stdout or ():
                console.verbatim(line.rstrip())
            return follower.wait()


def _is_ready(settings: ServerSettings) -> bool:
    server = server_process.running(settings)
    return server is not None and server.pid == os.getpid() and server_process.healthy(server)


@click.command()
@click.argument("name")
def main(name: str) -> None:
    """Serve the champion of the use case NAME on the running server."""
    from deployment.commands.serving import detached

    detached.deploy_champion(name, Settings.from_environment())


if __name__ == "__main__":
    console.run_command(main)
