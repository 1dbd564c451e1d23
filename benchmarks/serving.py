"""Model server against `mlflow models serve` and BentoML, with the same versions, requests and client (wrk).

A third peer is an empty application on our HTTP server: the limit of any application there. Each family is fitted
once with hyperparameters from the middle of its grid and registered like after a training run. Afterwards the
endpoint changes under load. A network is fitted for one epoch, as its answer takes as long after many. Needs the gold
tables: `dbt build`.
"""

import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import click
import mlflow

from benchmarks.families.entry import default_of
from benchmarks.harness.changes import changes, check_responses, while_changing
from benchmarks.harness.load import LoadFailed, LoadResult, count, memory, wrk
from benchmarks.harness.measure import mebibytes
from benchmarks.harness.servers import PEERS, Server, Start, Version, bench_settings, new, ours, server_settings
from deployment.endpoints import endpoint_client
from deployment.model_server.http.auth import read_token
from lakehouse import console
from lakehouse.settings import Settings
from scoring.encodings.free_text import FreeText
from training.feature_store.home import open_store
from training.feature_store.store import FeatureStore
from training.frame.constants import without_constants
from training.frame.drawing import sample
from training.frame.splits import Split
from training.models import FAMILIES
from training.models.extras import require_extras
from training.search.result import SearchResult
from training.search.trial import Trial
from training.space.joint_space import Candidate, JointSpace
from training.stages.read import read
from training.stages.refit import refit
from training.stages.register import register
from training.tracking import experiment_id, tracking
from training.use_case.use_case import UseCase, load

VERSIONS = (
    "term_deposit:lightgbm,term_deposit:random_forest,term_deposit:knn,term_deposit:logistic_regression,"
    "churn:lightgbm,churn:logistic_regression"
)
OURS, KEY = "ours", "key"
LOADS = "1x1,1x16,1x64,100x1,100x16,100x64"


@dataclass(frozen=True)
class Asked:
    """A version to register and load.

    Attributes:
        by_key: True if a request names an entity, whose features the server looks up.
    """

    use_case: str
    family: str
    by_key: bool = False

    @classmethod
    def of(cls, text: str) -> "Asked":
        """Read `USE_CASE:FAMILY` or `USE_CASE:FAMILY:key`.

        Raises:
            LoadFailed: the text is neither.
        """
        match text.split(":"):
            case [use_case, family]:
                return cls(use_case, family)
            case [use_case, family, word] if word == KEY:
                return cls(use_case, family, by_key=True)
        raise LoadFailed(f"'{text}' names no version", hint=f"Write USE_CASE:FAMILY, or USE_CASE:FAMILY:{KEY}.")


@dataclass(frozen=True)
class ServerResult:
    """Results of one server under each load, with its start time and memory."""

    loads: Sequence[LoadResult]
    start: float
    memory: int


@click.command()
@click.option("--versions", default=VERSIONS, show_default=True, help="USE_CASE:FAMILY[:key], comma-separated.")
@click.option("--peers", default=",".join(PEERS), show_default=True)
@click.option("--loads", default=LOADS, show_default=True, help="Rows of a request x connections.")
@click.option("--seconds", default=3, show_default=True, help="Duration of each load.")
@click.option("--requests", default=100_000, show_default=True, help="While the endpoint changes; 0 ends before.")
@click.option("--most", type=int, help="Rows to fit on, and of the holdout, drawn by class. Default: all.")
def main(  # noqa: PLR0913, PLR0917  (one for each option)
    versions: str, peers: str, loads: str, seconds: int, requests: int, most: int | None
) -> None:
    """Load each server in turn, then two of our servers at once, then our server while its endpoint changes.

    Each free text of a request has another number at its end, since a server may remember a text. With `:key` a
    request names an entity, and the online tables are published first.
    """
    each = [(int(rows), int(wide)) for rows, _, wide in (load.partition("x") for load in loads.split(","))]
    models = [Asked.of(version) for version in versions.split(",")]
    require_extras([each.family for each in models])
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        bench = bench_settings(Path(folder))
        registered = _registered(bench, models, most)
        chosen = {name: PEERS[name] for name in peers.split(",") if name}
        _compare_servers(registered, chosen, bench, each, seconds)
        if requests:
            _two_processes(registered[0], bench, seconds)
            _change_under_load(registered, bench, requests)
    console.detail(f"{time.monotonic() - began:.0f} s in total")


def _registered(bench: Settings, models: Sequence[Asked], most: int | None) -> list[Version]:
    versions = []
    with tracking(bench) as client:
        for name in dict.fromkeys(each.use_case for each in models):
            use_case = load(name)
            mlflow.set_experiment(experiment_id=experiment_id(client, bench, name))
            data = read(use_case, bench)
            if most is not None:
                data = drawn(data, most, use_case.search.seed)
            texts = [of.column for of in data.training.encoder.encodings if isinstance(of, FreeText)]
            asked = [each for each in models if each.use_case == name]
            key = published_key(use_case, open_store(bench)) if any(each.by_key for each in asked) else {}
            for each in asked:
                winner = Trial(1, candidate_of(each.family), {use_case.search.metric: 0.0}, (), timedelta(0))
                refitted = refit(use_case, winner, data.training)
                with mlflow.start_run():
                    version = register(use_case, refitted, SearchResult((winner,), "complete"), data, client)
                number, compiled = str(version.version), version.tags["compiled"]
                versions.append(Version(use_case, each.family, number, compiled, texts, key if each.by_key else {}))
    return versions


def published_key(use_case: UseCase, store: FeatureStore) -> Mapping[str, Any]:
    """The entity of the newest label, by field; the online tables of the use case are published.

    Raises:
        LoadFailed: the use case looks up no features.
    """
    if use_case.serving.lookup is None:
        raise LoadFailed(f"{use_case.name} looks up no features", hint=f"Leave out :{KEY}.")
    for source in use_case.features:
        store.publish(source.table)
    labels = use_case.labels
    newest = store.rows(labels.table).orderBy(labels.timestamp, ascending=False).select(*labels.keys).first()
    if newest is None:
        raise LoadFailed(f"{labels.table} is empty", hint="Build it: dbt build")
    return newest.asDict()


def drawn(data: Split, most: int, seed: int) -> Split:
    """Some rows of each side, every class by its share."""
    training, holdout = (rows.rows(sample(rows, most, seed)) for rows in (data.training, data.holdout))
    return replace(data, training=without_constants(training), holdout=holdout)


def candidate_of(family: str) -> Candidate:
    """The middle of the family's grid; of a network the default, fitted for one epoch."""
    if FAMILIES[family].extras:
        return default_of(family, max_epochs=1)
    points = list(islice(JointSpace({family: FAMILIES[family].space}).grid(), 300))
    return points[len(points) // 2]


def _compare_servers(
    versions: Sequence[Version],
    peers: Mapping[str, Start],
    bench: Settings,
    loads: Sequence[tuple[int, int]],
    seconds: int,
) -> None:
    results: list[tuple[Version, float, dict[str, ServerResult]]] = []
    for version in versions:
        console.stage(version.title)
        with new(version, server_settings(bench, f".first-{version.use_case.name}-{version.number}")) as server:
            first = server.seconds
        servers: dict[str, Start] = {OURS: ours, **peers}
        measured = {name: _measured(start, version, bench, loads, seconds) for name, start in servers.items()}
        results.append((version, first, {name: each for name, each in measured.items() if each}))
    header = ["p50", "p99", "req/s", "processor"]
    if not peers:
        alone = [
            [version.title, *map(str, load), *each[OURS].loads[number].cells]
            for version, _, each in results
            for number, load in enumerate(loads)
        ]
        console.table(["version", "rows", "conn.", *header], alone)
    for name in peers:
        console.stage(f"{OURS} against {name}")
        rows = [
            [version.title, *map(str, load), *_comparison(each[OURS].loads[number], each[name].loads[number])]
            for version, _, each in results
            if name in each
            for number, load in enumerate(loads)
        ]
        console.table(
            ["version", "rows", "conn.", *header, *(f"{name} {column}" for column in header), "ratio"], rows
        )
    cost = [
        [version.title, f"{first:.1f} s", *(cell for name in (OURS, *peers) for cell in _cost(each.get(name)))]
        for version, first, each in results
    ]
    columns = [f"{name} {column}" for name in (OURS, *peers) for column in ("start", "memory")]
    console.table(["version", "first start", *columns], cost)


def _measured(
    start: Start, version: Version, bench: Settings, loads: Sequence[tuple[int, int]], seconds: int
) -> ServerResult | None:
    """Measure one server; None if it failed, after the reason is printed."""
    try:
        with start(version, bench) as server:
            wrk(server, version.body(1), connections=4, seconds=1)
            results = [wrk(server, version.body(rows), connections=wide, seconds=seconds) for rows, wide in loads]
            return ServerResult(results, server.seconds, memory(server.pid))
    except (LoadFailed, CalledProcessError) as err:
        if start is ours:
            raise
        console.detail(f"skipped: {err}")
        return None


def _comparison(result: LoadResult, other: LoadResult) -> list[str]:
    return [*result.cells, *other.cells, f"{result.per_second / other.per_second:.1f} x"]


def _cost(measured: ServerResult | None) -> list[str]:
    return [f"{measured.start:.1f} s", mebibytes(measured.memory)] if measured else ["-", "-"]


def _two_processes(version: Version, bench: Settings, seconds: int) -> None:
    """Compare one server with two servers that each take half of the connections."""
    console.stage(f"16 connections to one server of {version.title}, then 8 to each of two")

    def load(server: Server, connections: int) -> LoadResult:
        return wrk(server, version.body(1), connections=connections, seconds=seconds)

    with ExitStack() as stack, ThreadPoolExecutor(2) as both:
        servers = [stack.enter_context(ours(version, bench, state)) for state in (".serving", ".second")]
        single = load(servers[0], 16)
        halves = list(both.map(lambda server: load(server, 8), servers))
        rates = [single.per_second, sum(half.per_second for half in halves)]
    console.table(
        ["processes", "p99", "req/s", "ratio"],
        [
            ["1", f"{single.p99:.2f} ms", f"{rates[0]:,.0f}", ""],
            ["2", f"{max(half.p99 for half in halves):.2f} ms", f"{rates[1]:,.0f}", f"{rates[1] / rates[0]:.1f} x"],
        ],
    )


def _change_under_load(versions: Sequence[Version], bench: Settings, requests: int) -> None:
    """Switch an endpoint between two versions of one model under load; no request may fail."""
    first = versions[0]
    second = next((each for each in versions[1:] if each.use_case.name == first.use_case.name), None)
    if second is None:
        raise LoadFailed(
            "a swap needs two versions of one use case", hint="Add a second version, or pass --requests 0."
        )
    console.stage(f"{requests:,} requests while the endpoint switches between {first.title} and {second.title}")
    model, settings, body = first.use_case.name, server_settings(bench, ".changed"), first.body(1)
    with new(first, settings) as server:
        client = endpoint_client.connect(settings.url, read_token(settings.token_file))
        steps = changes(client, "bench", model, int(first.number), int(second.number))
        responses, made = asyncio.run(
            while_changing(steps, lambda turns: count(server.url, server.headers, body, turns, 16), requests)
        )
    table = [[str(status), served, f"{number:,}"] for (status, served, _), number in sorted(responses.items())]
    console.table(["status", "served by", "requests"], table)
    console.detail(
        f"{sum(responses.values()):,} requests; " + ", ".join(f"{number} x {name}" for name, number in made.items())
    )
    check_responses(responses, [f"{model}-{each.number}" for each in (first, second)])


if __name__ == "__main__":
    console.run_command(main)
