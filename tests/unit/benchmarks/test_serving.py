"""The benchmark of servers: the rows and points of its versions, and requests whose texts no server remembers."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest

from benchmarks.harness.load import TURN, wrk
from benchmarks.harness.servers import Version
from benchmarks.serving import candidate_of, drawn
from tests.unit.frames import alternating, by_time
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


@dataclass
class Listener:
    """A server in this process that keeps the bodies of its requests."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    pid: int = field(default_factory=os.getpid)
    bodies: list[bytes] = field(default_factory=list)


@pytest.fixture
def listener() -> Iterator[Listener]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            found.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
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
