"""Rollouts by the commands of a person, on a real server: promote with serving.rollout, decisions and follow."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from databricks.sdk import WorkspaceClient

from deployment.commands import use_cases
from deployment.endpoints import endpoint_client
from deployment.gate.gate import Gate
from deployment.model_server.http.auth import read_token
from deployment.model_server.process import server_process
from deployment.model_server.process.ports import started_at
from deployment.model_server.settings import ServerSettings
from deployment.rollout.lease import is_held
from deployment.rollout.state import Rollout
from deployment.run import main
from tests.checkout import Checkout, ended
from tests.contract.people import NAME, USE_CASE, Environment, champion, command, mlflow_restored
from tests.docs.typed_commands import type_line
from tests.ports import free_port

PEOPLE = {"NAME": NAME}
QUIET = {"steps": [50], "bake_minutes": 0.005, "warm_up_seconds": 0, "max_extensions": 0, "poll_seconds": 0.1}


@pytest.fixture
def environment(with_champion: Environment, tmp_path: Path) -> Environment:
    return with_champion.copied(tmp_path)


@dataclass
class Machine:
    """A person's machine: a use-case file, a server, and commands in this process or in one of their own."""

    checkout: Checkout
    server: ServerSettings

    @property
    def file(self) -> Path:
        return self.checkout.root / "training" / "use_cases" / f"{NAME}.yml"

    def declare(self, **rollout: Any) -> None:
        declared = USE_CASE.model_dump(mode="json", exclude_unset=True)
        serving = declared["serving"] | {"rollout": QUIET | rollout}
        self.file.write_text(yaml.safe_dump(declared | {"serving": serving}))

    @property
    def client(self) -> WorkspaceClient:
        return endpoint_client.connect(self.server.url, read_token(self.server.token_file))

    def traffic(self) -> dict[int, int]:
        return {
            version: share for version, share in endpoint_client.served_versions(self.client, NAME).items() if share
        }


@pytest.fixture
def machine(environment: Environment, tmp_path: Path) -> Iterator[Machine]:
    running = server_process.running
    uri, port = environment.settings.tracking_uri, free_port()
    variables = {
        "MLFLOW_TRACKING_URI": uri, "LAKEHOUSE_WAREHOUSE": str(environment.warehouse),
        "MODEL_SERVER": f"http://127.0.0.1:{port}",
    }  # fmt: skip
    checkout = replace(Checkout.below(tmp_path), variables=variables)
    server = ServerSettings(checkout.root, checkout.root / ".serving", uri, port=port)
    with mlflow_restored(), pytest.MonkeyPatch.context() as patch:
        made = Machine(checkout, server)
        patch.setattr(use_cases, "FOLDER", made.file.parent)
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setattr(server_process, "running", lambda _settings: running(server))
        made.declare()
        yield made


@pytest.fixture
def serving(machine: Machine) -> Iterator[Machine]:
    server_process.serve_detached(machine.server)
    try:
        assert "serves version 2 (100 %)" in command("serve", "--detach")
        yield machine
    finally:
        server_process.stop(machine.server)


def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(1800):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen")


def rollouts(gate: Gate) -> list[str]:
    return [Rollout.from_json(entry.rollout).phase for entry in gate.ledger.entries(NAME) if entry.rollout]


def test_promote_rolls_out_tells_of_a_pause_by_its_exit_code_and_a_person_decides(
    gate: Gate, serving: Machine
) -> None:
    output = type_line("python -m deployment.run promote --use-case NAME", PEOPLE, exits=7)
    assert "Version 4 is the champion" in output
    assert "The rollout of version 4 is paused: only 0 of 100 requests at the end of the bake" in output
    assert "--decide proceed --reason ..." in output
    assert (champion(gate), serving.traffic()) == (4, {2: 50, 4: 50})
    # A pause is no silence: the same command again changes nothing.
    assert "is paused" in type_line("python -m deployment.run rollout --use-case NAME", PEOPLE, exits=7)
    assert "serves version 2" not in command("serve", "--detach"), "serve leaves a rollout alone"
    assert serving.traffic() == {2: 50, 4: 50}
    assert "rollout of version 4 beside version 2: paused" in status()
    extend = 'python -m deployment.run rollout --use-case NAME --decide extend --reason "quiet until Monday"'
    assert "is paused" in type_line(extend, PEOPLE, exits=7), "no more requests came"
    type_line('python -m deployment.run rollout --use-case NAME --decide proceed --reason "checked by hand"', PEOPLE)
    assert serving.traffic() == {4: 100}
    assert "rollout of" not in status()
    # Back at once, without steps, and then by an abort.
    assert "Version 2 is the champion" in command("rollback", "--no-rollout", "--reason", "complaints")
    assert serving.traffic() == {4: 100}
    command("rollout")
    assert serving.traffic() == {2: 100}


def test_an_aborted_rollout_returns_the_champion_whatever_happened_to_the_file(gate: Gate, serving: Machine) -> None:
    assert "Roll it out: python -m deployment.run rollout --use-case people" in command("promote", "--no-rollout")
    assert serving.traffic() == {2: 100}
    command("rollout", exits=7)
    # Somebody edits the file during the rollout, so that it is no longer valid.
    valid = serving.file.read_text()
    serving.file.write_text(valid.replace("steps:", "stepps:"))
    abort = 'python -m deployment.run rollout --use-case NAME --decide abort --reason "complaints"'
    assert "stepps" in type_line(abort, PEOPLE, exits=1)
    serving.file.write_text(valid.replace("- 50", "- 20\n    - 90"))
    assert "was rolled back: aborted: complaints" in type_line(abort, PEOPLE, exits=3)
    assert (champion(gate), serving.traffic()) == (2, {2: 100})


def test_ctrl_c_leaves_the_rollout_where_it_is_and_names_the_command_that_continues_it(
    gate: Gate, serving: Machine
) -> None:
    serving.declare(bake_minutes=10)
    command("promote", "--no-rollout")
    with ended(serving.checkout.start("deployment.run", "rollout", "--use-case", NAME)) as running:
        eventually(lambda: rollouts(gate)[-1:] == ["baking"])
        assert "a rollout of people is being carried out by" in command("rollout", exits=1), "a second controller"
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=240)
    assert running.returncode == 130, output
    assert "Continue it: python -m deployment.run rollout --use-case people" in output
    assert not is_held(gate.client, NAME, time.time()), "the lease is given back"
    assert serving.traffic() == {2: 50, 4: 50}


def test_serve_follow_rolls_out_a_promotion_and_starts_a_killed_follower_again(gate: Gate, machine: Machine) -> None:
    machine.declare(bake_minutes=10)
    webhook = ("--webhook-url", "https://hooks.example.org", "--webhook-listen", f"127.0.0.1:{free_port()}")
    serve = machine.checkout.start("deployment.run", "serve", "--use-case", NAME, "--follow", *webhook)
    with ended(serve) as server, lines_of(server) as lines:

        def told(line: str, times: int = 1) -> None:
            eventually(lambda: server.poll() is not None or sum(line in each for each in lines) >= times)
            assert server.poll() is None, lines

        told("following the champion of people")
        assert any("no webhook, only looks at the alias: only a registry behind" in line for line in lines), lines
        assert machine.traffic() == {2: 100}
        command("promote", "--no-rollout")
        told("version 4: 50 % of the traffic for 10 min")
        (killed,) = followers(server.pid)
        os.kill(killed, signal.SIGKILL)
        told("`follow` ended with exit code -9; it is started again in 1 s")
        told("the rollout continues after 'baking'")
        (again,) = followers(server.pid)
        assert is_held(gate.client, NAME, time.time())
        assert machine.traffic() == {2: 50, 4: 50}
        command("rollout", "--decide", "proceed", "--reason", "looked at")
        told("version 4: all traffic: the rollout is finished")
        assert machine.traffic() == {4: 100}
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    assert started_at(again) is None, "no child is left"
    assert rollouts(gate)[-1] == "finished"
    assert not is_held(gate.client, NAME, time.time())


def test_follow_looks_at_the_champion_until_sigterm(serving: Machine) -> None:
    receiver = f"--webhook-url https://hooks.example.org/mlflow --webhook-listen 127.0.0.1:{free_port()}"
    only_looks = serving.checkout.start_line("python -m deployment.run follow --use-case NAME", PEOPLE)
    receives = serving.checkout.start_line(
        "python -m deployment.run follow --use-case NAME --poll 300 --webhook-url https://hooks.example.org/mlflow",
        {**PEOPLE, "--webhook-url https://hooks.example.org/mlflow": receiver},
    )
    with ended(only_looks), ended(receives), lines_of(only_looks) as looked, lines_of(receives) as received:
        for lines in (looked, received):
            eventually(partial(follows, lines))
        for process in (only_looks, receives):
            process.terminate()
            assert process.wait(60) == 0, [*looked, *received]


def follows(lines: list[str]) -> bool:
    return any("following the champion of people" in line for line in lines)


@contextmanager
def lines_of(process: "subprocess.Popen[str]") -> Iterator[list[str]]:
    """Lines that a process prints until its end."""
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")))  # type: ignore[union-attr]
    reader.start()
    try:
        yield lines
    finally:
        if process.poll() is None:
            process.kill()
        reader.join()


def followers(pid: int) -> list[int]:
    """Processes of `follow` below a process, whichever of its threads has started them."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (thread / "children").read_text().split()):
            is_follow = b"\0follow\0" in Path(f"/proc/{child}/cmdline").read_bytes()
            found += [child] if is_follow else followers(child)
    return found


def status() -> str:
    return CliRunner().invoke(main, ["status"]).output
