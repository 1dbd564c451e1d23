"""The model server beside `mlflow models serve` and BentoML: the same versions, requests and client (wrk).

Each family is fitted once, by hyperparameters from the middle of its grid, and registered as training would. Then the
endpoint changes while requests come. Needs the gold tables: `dbt build`.
"""

import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from subprocess import CalledProcessError

import click
import mlflow

from benchmarks.harness.changes import changes, check, while_changing
from benchmarks.harness.load import Answered, LoadFailed, count, memory, wrk
from benchmarks.harness.measure import mebibytes
from benchmarks.harness.servers import PEERS, Server, Start, Version, bench_settings, new, ours, server_settings
from deployment.endpoints import endpoint_client
from deployment.model_server.http.auth import read_token
from lakehouse import console
from lakehouse.settings import Settings
from training.models import FAMILIES
from training.search.result import SearchResult
from training.search.trial import Trial
from training.space.joint_space import Candidate, JointSpace
from training.stages.read import read
from training.stages.refit import refit
from training.stages.register import register
from training.tracking import experiment_id, tracking
from training.use_case.use_case import load

VERSIONS = (
    "term_deposit:lightgbm,term_deposit:random_forest,term_deposit:knn,term_deposit:logistic_regression,"
    "churn:lightgbm,churn:logistic_regression"
)
OURS = "ours"
LOADS = "1x1,1x16,1x64,100x1,100x16,100x64"


@dataclass(frozen=True)
class Measured:
    """What one server got of each load, and what it cost."""

    answered: Sequence[Answered]
    start: float
    memory: int


@click.command()
@click.option("--versions", default=VERSIONS, show_default=True, help="USE_CASE:FAMILY, comma-separated.")
@click.option("--peers", default=",".join(PEERS), show_default=True)
@click.option("--loads", default=LOADS, show_default=True, help="Rows of a request x connections.")
@click.option("--seconds", default=3, show_default=True, help="Of each load.")
@click.option("--requests", default=100_000, show_default=True, help="While the endpoint changes.")
def main(versions: str, peers: str, loads: str, seconds: int, requests: int) -> None:
    """Load each server in turn; two of ours at once; and ours while its endpoint changes."""
    each = [(int(rows), int(wide)) for rows, _, wide in (load.partition("x") for load in loads.split(","))]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        here = bench_settings(Path(folder))
        registered = _registered(here, [tuple(each.split(":")) for each in versions.split(",")])
        chosen = {name: PEERS[name] for name in peers.split(",") if name}
        _compared(registered, chosen, here, each, seconds)
        _two_processes(registered[0], here, seconds)
        if requests:
            _changed(registered, here, requests)
    console.detail(f"{time.monotonic() - began:.0f} s in all")


def _registered(here: Settings, wanted: Sequence[tuple[str, ...]]) -> list[Version]:
    versions = []
    with tracking(here) as client:
        for name in dict.fromkeys(name for name, _ in wanted):
            use_case = load(name)
            mlflow.set_experiment(experiment_id=experiment_id(client, here, name))
            data = read(use_case, here)
            for family in [family for other, family in wanted if other == name]:
                winner = Trial(1, _middle(family), {use_case.search.metric: 0.0}, (), timedelta(0))
                refitted = refit(use_case, winner, data.training)
                with mlflow.start_run():
                    version = register(use_case, refitted, SearchResult((winner,), "complete"), data)
                versions.append(Version(use_case, family, str(version.version), version.tags["compiled"]))
    return versions


def _middle(family: str) -> Candidate:
    points = list(islice(JointSpace({family: FAMILIES[family].space}).grid(), 300))
    return points[len(points) // 2]


def _compared(
    versions: Sequence[Version],
    peers: Mapping[str, Start],
    here: Settings,
    loads: Sequence[tuple[int, int]],
    seconds: int,
) -> None:
    found: list[tuple[Version, float, dict[str, Measured]]] = []
    for version in versions:
        console.stage(version.title)
        with new(version, server_settings(here, f".first-{version.use_case.name}-{version.number}")) as server:
            first = server.seconds
        servers: dict[str, Start] = {OURS: ours, **peers}
        measured = {name: _measured(start, version, here, loads, seconds) for name, start in servers.items()}
        found.append((version, first, {name: each for name, each in measured.items() if each}))
    for name in peers:
        console.stage(f"{OURS} beside {name}")
        header = ["p50", "p99", "req/s"]
        rows = [
            [version.title, *map(str, load), *_beside(each[OURS].answered[number], each[name].answered[number])]
            for version, _, each in found
            if name in each
            for number, load in enumerate(loads)
        ]
        console.table(["version", "rows", "conn.", *header, *(f"{name} {what}" for what in header), "ratio"], rows)
    cost = [
        [version.title, f"{first:.1f} s", *(cell for name in (OURS, *peers) for cell in _cost(each.get(name)))]
        for version, first, each in found
    ]
    columns = [f"{name} {what}" for name in (OURS, *peers) for what in ("start", "memory")]
    console.table(["version", "first start", *columns], cost)


def _measured(
    start: Start, version: Version, here: Settings, loads: Sequence[tuple[int, int]], seconds: int
) -> Measured | None:
    """None: this server did not do it, and the reason was told."""
    try:
        with start(version, here) as server:
            wrk(server.url, server.headers, version.body(1), connections=4, seconds=1)
            found = [
                wrk(server.url, server.headers, version.body(rows), connections=wide, seconds=seconds)
                for rows, wide in loads
            ]
            return Measured(found, server.seconds, memory(server.pid))
    except (LoadFailed, CalledProcessError) as err:
        if start is ours:
            raise
        console.detail(f"left out: {err}")
        return None


def _beside(mine: Answered, other: Answered) -> list[str]:
    return [*mine.cells, *other.cells, f"{mine.per_second / other.per_second:.1f} x"]


def _cost(measured: Measured | None) -> list[str]:
    return [f"{measured.start:.1f} s", mebibytes(measured.memory)] if measured else ["-", "-"]


def _two_processes(version: Version, here: Settings, seconds: int) -> None:
    """Whether a second process would answer more on this machine: two servers, each with half of the connections."""
    console.stage(f"16 connections to one server of {version.title}, and 8 to each of two")

    def asked(server: Server, connections: int) -> Answered:
        return wrk(server.url, server.headers, version.body(1), connections=connections, seconds=seconds)

    with ExitStack() as stack, ThreadPoolExecutor(2) as both:
        servers = [stack.enter_context(ours(version, here, state)) for state in (".serving", ".second")]
        alone = asked(servers[0], 16)
        halves = list(both.map(lambda server: asked(server, 8), servers))
        rates = [alone.per_second, sum(half.per_second for half in halves)]
    console.table(
        ["processes", "p99", "req/s", "ratio"],
        [
            ["1", f"{alone.p99:.2f} ms", f"{rates[0]:,.0f}", ""],
            ["2", f"{max(half.p99 for half in halves):.2f} ms", f"{rates[1]:,.0f}", f"{rates[1] / rates[0]:.1f} x"],
        ],
    )


def _changed(versions: Sequence[Version], here: Settings, requests: int) -> None:
    """An endpoint moves between two versions of one model while requests come; nothing may fail."""
    first = versions[0]
    second = next((each for each in versions[1:] if each.use_case.name == first.use_case.name), None)
    if second is None:
        raise LoadFailed("one version alone cannot be swapped", hint="Name two of a use case, or --requests 0.")
    console.stage(f"{requests:,} requests while {first.title} and {second.title} take turns")
    model, settings, body = first.use_case.name, server_settings(here, ".changed"), first.body(1)
    with new(first, settings) as server:
        client = endpoint_client.connect(settings.url, read_token(settings.token_file))
        steps = changes(client, "bench", model, int(first.number), int(second.number))
        found, made = asyncio.run(
            while_changing(steps, lambda turns: count(server.url, server.headers, body, turns, 16), requests)
        )
    table = [[str(status), served, f"{number:,}"] for (status, served, _), number in sorted(found.items())]
    console.table(["status", "answered by", "requests"], table)
    console.detail(
        f"{sum(found.values()):,} requests; " + ", ".join(f"{number} x {name}" for name, number in made.items())
    )
    check(found, [f"{model}-{each.number}" for each in (first, second)])


if __name__ == "__main__":
    console.run_command(main)
