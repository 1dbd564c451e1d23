"""The endpoint of a use case follows its champion as soon as the server in the foreground answers."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings

TICK = 0.1
COMMAND = (sys.executable, "-m", "deployment.commands.deploy_when_ready")


@contextmanager
def deployed(settings: ServerSettings, name: str) -> Iterator[None]:
    """Let the champion be served while the block runs a server in this process; if it cannot be, the server ends.

    Another process reads the registry and asks the server: MLflow would stay in this one for as long as it serves.

    Raises:
        LakehouseError: the champion is not served, with what the other process says of it.
    """
    deployer = _Deployer(settings, name)
    deployer.start()
    try:
        yield
    finally:
        deployer.end()
    if deployer.failure:
        raise LakehouseError(deployer.failure)


class _Deployer(threading.Thread):
    """Waits for the server, starts the other process, and waits for that."""

    def __init__(self, settings: ServerSettings, name: str) -> None:
        super().__init__(daemon=True)
        self.settings, self.use_case = settings, name
        self.failure = ""
        self._ended = threading.Event()

    def run(self) -> None:
        while not _answers(self.settings):
            if self._ended.wait(TICK):
                return
        # A session of its own: Ctrl-C is for the server, and this thread ends the other process.
        with subprocess.Popen(
            [*COMMAND, self.use_case], cwd=self.settings.project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        ) as child:  # fmt: skip
            while child.poll() is None:
                if self._ended.wait(TICK):
                    child.terminate()
                    return
            said = child.communicate()[0].strip()
        if child.returncode == 0:
            console.detail(said)
            return
        self.failure = said.removeprefix("Error: ") or f"what was to deploy {self.use_case} ended silently"
        os.kill(os.getpid(), signal.SIGTERM)  # the server's own way to end

    def end(self) -> None:
        self._ended.set()
        self.join()


def _answers(settings: ServerSettings) -> bool:
    server = server_process.running(settings)
    return server is not None and server.pid == os.getpid() and server_process.healthy(server)


@click.command()
@click.argument("name")
def main(name: str) -> None:
    """Let the endpoint of the use case NAME serve its champion, on the server that runs."""
    from deployment.commands import serve

    serve.deploy_champion(name, Settings.from_environment())


if __name__ == "__main__":
    console.run_command(main)
