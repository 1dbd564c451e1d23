"""The benchmark of servers: the rows and points of its versions, and requests whose texts no server remembers."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.harness.load import TURN, LoadFailed, wrk
from benchmarks.harness.servers import Version, wait_for_response
from benchmarks.serving import Asked, candidate_of, drawn, published_key
from lakehouse.session import open_session
from lakehouse.tables.online_store import OnlineStore
from lakehouse.tables.warehouse import Warehouse
from tests.contract.feature_store.test_point_in_time import TIME, day, write
from tests.unit.frames import alternating, by_time
from training.feature_store.local import ONLINE, LocalFeatureStore
from training.frame.splits import split
from training.use_case.use_case import load


def test_rows_of_both_sides_are_drawn_by_class() -> None:
    parts = split(alternating(300), by_time(holdout=0.3))
    few = drawn(parts, 20, 0)
    assert [len(few.training), len(few.holdout)] == [20, 20]
    assert np.bincount(few.training.y).tolist() == [10, 10]
    assert few.training.times.max() < few.holdout.times.min()
    assert len(drawn(parts, 1_000, 0).training) == len(parts.training)


def test_a_network_is_fitted_for_one_epoch_and_others_at_the_middle_of_their_grid() -> None:
    assert candidate_of("mlp").params["max_epochs"] == 1
    assert "max_epochs" not in candidate_of("lightgbm").params


def test_texts_of_a_request_end_with_a_turn_and_other_inputs_are_those_of_the_golden_request() -> None:
    use_case = load("recommended")
    plain, numbered = Version(use_case, "knn", "1", "none"), Version(use_case, "knn", "1", "none", ["review"])
    golden = dict(use_case.golden_request)
    assert plain.body(2) == {"dataframe_records": [golden, golden]}
    (record,) = numbered.body(1)["dataframe_records"]
    assert record == {**golden, "review": f"{golden['review']} {TURN}"}


def test_a_version_is_asked_for_with_the_inputs_or_by_key() -> None:
    assert Asked.of("churn:lightgbm") == Asked("churn", "lightgbm")
    assert Asked.of("water_flow:ridge:key") == Asked("water_flow", "ridge", by_key=True)
    for text in ("churn", "water_flow:ridge:keys", "a:b:key:c"):
        with pytest.raises(LoadFailed, match=f"'{text}' names no version"):
            Asked.of(text)


def test_a_request_by_key_names_the_entity_of_the_newest_label_and_nothing_else(tmp_path: Path) -> None:
    store, use_case = LocalFeatureStore(open_session, Warehouse(tmp_path)), load("water_flow")
    texts = {"pipe": pa.string(), "hour": pa.string(), "as_of": TIME}
    labels = [("a", "10:00", day(1), 5), ("b", "11:00", day(3), 6), ("a", "11:00", day(2), 7)]
    write(store, "water_flow_labels", "pipe hour as_of flow", labels, types=texts)
    columns = "pipe hour known_at level"
    write(store, "water_flow_features", columns, labels, keys=["pipe", "hour"], types=texts)
    key = published_key(use_case, store)
    assert key == {"pipe": "b", "hour": "11:00"}
    with OnlineStore(tmp_path / ONLINE) as online:
        found = online.row_of("gold.water_flow_features", key)
    assert found is not None and found.features == {"level": 6.0}
    version = Version(use_case, "ridge", "1", "linear", key=key)
    assert version.body(2) == {"dataframe_records": [key, key]}
    assert version.title == "water_flow, ridge (linear) by key"
    with pytest.raises(LoadFailed, match="term_deposit looks up no features"):
        published_key(load("term_deposit"), store)


@dataclass
class Listener:
    """A server in this process that keeps the bodies of its requests, and answers each with one status."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    pid: int = field(default_factory=os.getpid)
    bodies: list[bytes] = field(default_factory=list)
    status: int = 200


@pytest.fixture
def listener() -> Iterator[Listener]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            found.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(found.status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Listener(f"http://127.0.0.1:{server.server_port}/")
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_no_text_is_sent_twice_and_a_body_without_a_turn_stays_as_it_is(listener: Listener) -> None:
    for _ in range(2):
        wrk(listener, {"rows": [f"good {TURN}"] * 2}, connections=2, seconds=1)
    texts = [text for body in listener.bodies for text in json.loads(body)["rows"]]
    assert len(texts) > 4 and all(text.removeprefix("good ").isdigit() for text in texts)
    assert len(set(texts)) == len(texts)
    listener.bodies.clear()
    wrk(listener, {"rows": ["100 % good"]}, connections=1, seconds=1)
    assert {*listener.bodies} == {b'{"rows": ["100 % good"]}'}


def test_a_refused_request_ends_the_wait_with_the_reason_of_the_server(listener: Listener) -> None:
    listener.status = 400
    refusal = r"refuses the request of churn, ridge \(linear\): \{\}"
    with pytest.raises(LoadFailed, match=refusal):
        wait_for_response(listener.url, {}, Version(load("churn"), "ridge", "1", "linear"))
    assert len(listener.bodies) == 1
