"""The model server beside `mlflow models serve`: the same version, the same requests, the same client (wrk).

Every family that the use case's task allows is fitted once, by hyperparameters from the middle of its grid, and
registered as training would. Needs the gold tables: `dbt build`.
"""

import asyncio
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import click
import mlflow
from databricks.sdk.service.serving import EndpointCoreConfigInput, ServedEntityInput

from benchmarks.load import LoadFailed, count, memory, wrk
from benchmarks.measure import mebibytes, tool
from deployment import serving
from deployment.model_server import process
from deployment.model_server.auth import read_token
from deployment.model_server.settings import ServerSettings
from lakehouse import console
from lakehouse.settings import PROJECT, Settings
from tests.ports import free_port
from training import run
from training.models import FAMILIES
from training.refitting import refit
from training.search.joint import Candidate, JointSpace
from training.search.trial import Trial
from training.tracking import experiment_id, tracking
from training.use_case import UseCase, load

USE_CASES = ("term_deposit", "churn")
SECONDS = 120  # for a server to answer its first request


@dataclass(frozen=True)
class Version:
    """A registered version: what it is, and a row that it takes."""

    use_case: UseCase
    family: str
    number: str
    compiled: str

    @property
    def title(self) -> str:
        return f"{self.use_case.name}, {self.family} ({self.compiled})"

    def body(self, rows: int) -> dict[str, Any]:
        return {"dataframe_records": [dict(self.use_case.golden_request)] * rows}


@dataclass(frozen=True)
class Server:
    """A server that answers for one version: where, how it is asked, and what its start took."""

    url: str
    headers: Mapping[str, str]
    pid: int
    seconds: float


@click.command()
@click.option("--families", help="Comma-separated; all that there are without it.")
@click.option("--connections", default="1,16,64", show_default=True)
@click.option("--rows", default="1,100", show_default=True, help="In a request.")
@click.option("--seconds", default=5, show_default=True, help="Of each load.")
@click.option("--requests", default=100_000, show_default=True, help="While versions swap.")
def main(families: str | None, connections: str, rows: str, seconds: int, requests: int) -> None:
    """Load both servers in turn, and then swap versions under load."""
    loads = [(int(size), int(wide)) for size in rows.split(",") for wide in connections.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        here = _settings(Path(folder))
        versions = _registered(here, families.split(",") if families else list(FAMILIES))
        speed, cost = [], []
        for version in versions:
            console.stage(f"{version.title}")
            ours, peer = (_measured(start, version, here, loads, seconds) for start in (_ours, _mlflow))
            for (size, wide), mine, other in zip(loads, ours[0], peer[0], strict=True):
                ratio = f"{mine.per_second / other.per_second:.0f} x"
                speed.append([version.title, str(size), str(wide), *mine.cells, *other.cells, ratio])
            cost.append([version.title, *ours[1], *peer[1]])
        header = ["p50", "p99", "requests/s"]
        console.table(
            ["version", "rows", "connections", *header, *(f"mlflow {name}" for name in header), "ratio"], speed
        )
        console.table(["version", "cold start", "memory", "mlflow cold start", "mlflow memory"], cost)
        if requests:
            _swapped(versions, here, requests)


def _settings(folder: Path) -> Settings:
    uri = f"sqlite:///{folder}/mlflow.db"
    return replace(Settings.from_environment(), project=folder, tracking_uri=uri, registry_uri=uri)


def _registered(here: Settings, families: Sequence[str]) -> list[Version]:
    versions = []
    with tracking(here) as client:
        for use_case in map(load, USE_CASES):
            mlflow.set_experiment(experiment_id=experiment_id(client, here, use_case.name))
            data = run.read(use_case, here)
            for family in families:
                if use_case.task not in FAMILIES[family].tasks or (use_case.name, family) == ("churn", "knn"):
                    continue
                winner = Trial(0, _middle(family), {use_case.search.metric: 0.0}, (), timedelta(0))
                refitted = refit(use_case, winner, data.training)
                with mlflow.start_run():
                    version = run.register(use_case, refitted, winner, data)
                versions.append(Version(use_case, family, str(version.version), version.tags["compiled"]))
    return versions


def _middle(family: str) -> Candidate:
    points = list(islice(JointSpace({family: FAMILIES[family].space}).grid(), 300))
    return points[len(points) // 2]


def _measured(
    start: Any, version: Version, here: Settings, loads: Sequence[tuple[int, int]], seconds: int
) -> tuple[list[Any], list[str]]:
    """What each load got, and what the start and the memory after all of them were."""
    with start(version, here) as server:
        wrk(server.url, server.headers, version.body(1), connections=4, seconds=1)
        found = [
            wrk(server.url, server.headers, version.body(rows), connections=wide, seconds=seconds)
            for rows, wide in loads
        ]
        return found, [f"{server.seconds:.1f} s", mebibytes(memory(server.pid))]


@contextmanager
def _ours(version: Version, here: Settings) -> Iterator[Server]:
    """The server as it starts again: with the endpoint that it served before."""
    settings = ServerSettings(
        PROJECT, here.project / ".serving", here.tracking_uri, port=free_port(), warehouse=here.warehouse
    )
    with _serving(settings, [version]):
        pass
    began = time.monotonic()
    process.serve_detached(settings)
    try:
        headers = {"authorization": f"Bearer {read_token(settings.token_file)}"}
        url = f"{settings.url}/serving-endpoints/bench/invocations"
        _until_answered(url, headers, version)
        server = process.running(settings)
        assert server is not None
        yield Server(url, headers, server.pid, time.monotonic() - began)
    finally:
        process.stop(settings)


@contextmanager
def _serving(settings: ServerSettings, versions: Sequence[Version]) -> Iterator[Any]:
    """A new server whose endpoint `bench` serves the first version; gives a function that swaps to another."""
    process.serve_detached(settings)
    try:
        endpoints = serving.connect(settings.url, read_token(settings.token_file)).serving_endpoints

        def entity(version: Version) -> ServedEntityInput:
            return ServedEntityInput(
                entity_name=version.use_case.name, entity_version=version.number, workload_size="Small",
                scale_to_zero_enabled=False,
            )  # fmt: skip

        if "bench" in [known.name for known in endpoints.list()]:
            endpoints.delete("bench")
        first = EndpointCoreConfigInput(name="bench", served_entities=[entity(versions[0])])
        endpoints.create_and_wait("bench", config=first)
        yield lambda version: endpoints.update_config_and_wait("bench", served_entities=[entity(version)])
    finally:
        process.stop(settings)


@contextmanager
def _mlflow(version: Version, here: Settings) -> Iterator[Server]:
    port, uri = free_port(), f"models:/{version.use_case.name}/{version.number}"
    command = [tool("mlflow"), "models", "serve", "-m", uri, "-p", str(port), "--env-manager", "local"]
    log = here.project / "mlflow-serve.log"
    began = time.monotonic()
    environment = os.environ | {"MLFLOW_TRACKING_URI": here.tracking_uri}
    with ExitStack() as stack:
        said = stack.enter_context(log.open("w"))
        child = subprocess.Popen(command, env=environment, stdout=said, stderr=said, start_new_session=True)
        stack.callback(child.wait)
        stack.callback(os.killpg, child.pid, 15)
        url = f"http://127.0.0.1:{port}/invocations"
        _until_answered(url, {}, version)
        yield Server(url, {}, child.pid, time.monotonic() - began)


def _until_answered(url: str, headers: Mapping[str, str], version: Version) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            found = asyncio.run(count(url, headers, version.body(1), 1, 1))
        except (OSError, asyncio.IncompleteReadError, IndexError):
            found = Counter()
        if any(status == 200 for status, _, _ in found):
            return
        time.sleep(0.02)
    raise LoadFailed(f"{url} did not answer within {SECONDS} s")


def _swapped(versions: Sequence[Version], here: Settings, requests: int) -> None:
    """Two versions of one model take turns while requests come: who answered, and whether anything failed."""
    first = versions[0]
    pair = [first, next((each for each in versions[1:] if each.use_case.name == first.use_case.name), first)]
    console.stage(f"{requests:,} requests while {' and '.join(version.title for version in pair)} swap")
    settings = ServerSettings(
        PROJECT, here.project / ".swap", here.tracking_uri, port=free_port(), warehouse=here.warehouse
    )
    with _serving(settings, pair) as swap:
        url = f"{settings.url}/serving-endpoints/bench/invocations"
        headers = {"authorization": f"Bearer {read_token(settings.token_file)}"}
        found, swaps = asyncio.run(
            _while_swapping(swap, pair, lambda: count(url, headers, first.body(1), requests, 16))
        )
    table = [[str(status), served, f"{number:,}"] for (status, served, _), number in sorted(found.items())]
    console.table(["status", "answered by", "requests"], table)
    console.detail(f"{swaps} swaps")
    bodies = Counter(served for _, served, _ in found)
    if any(status != 200 for status, _, _ in found) or max(bodies.values()) > 1 or sum(found.values()) != requests:
        raise LoadFailed("a request failed, or was not answered by the version that its header names")


async def _while_swapping(swap: Any, pair: Sequence[Version], load_server: Any) -> tuple[Counter[Any], int]:
    loading, swaps = asyncio.create_task(load_server()), 0
    while not loading.done():
        swaps += 1
        await asyncio.to_thread(swap, pair[swaps % 2])
    return await loading, swaps


if __name__ == "__main__":
    console.run_command(main)
