"""The life of each network: trained, tracked, registered, gated, served and reloaded, with equal bits."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa
import pytest
from mlflow.tracking import MlflowClient

from deployment.gate.gate import Gate
from deployment.ledger.entries import Ledger
from deployment.ledger.folder import FolderLedger
from deployment.model_server.clock import SYSTEM
from deployment.model_server.http.auth import read_token
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse.session import open_session
from lakehouse.settings import PROJECT, Settings
from lakehouse.tables.warehouse import Warehouse
from tests.contract.databases import new_database
from tests.contract.feature_store.homes import Declared, LocalHome
from tests.contract.people import mlflow_restored
from tests.ports import free_port
from tests.unit.networks.points import NETWORKS, require
from tests.unit.networks.test_text_transformers import POINTS as TEXT_POINTS
from tests.unit.networks.test_text_transformers import write_checkpoint
from tests.unit.scoring.test_texts import UMLAUT, records_of
from training.registry.versions import CHAMPION
from training.run import train
from training.tracking import tracking
from training.use_case.use_case import UseCase

pytestmark = pytest.mark.skipif(find_spec("torch") is None, reason="the extra torch is not installed: make torch")
POINTS = {**NETWORKS, **TEXT_POINTS}
ROWS = 240
LISTED = {"max_epochs", "learning_rate", "width", "blocks", "tokens", "vocabulary", "checkpoint", "layers", "dropout"}
DAY, TIME = datetime(2024, 1, 1, tzinfo=UTC), pa.timestamp("us", "UTC")
DECLARED: list[dict[str, Any]] = [
    {"column": "age", "as": "number"},
    {"column": "note", "as": "text", "max_characters": 400},
    {"column": "town", "as": "one_hot", "categories": ["Aachen", "Bonn"]},
]


def records() -> tuple[list[dict[str, Any]], list[int]]:
    """Raw records and their labels; notes with good words are longer too, which networks without texts read."""
    rows, classes = records_of(ROWS)
    labels = [int(each == 1) for each in classes]
    filled = [
        {
            "age": 40 if row["age"] is None else row["age"],
            "note": (row["note"] or "naja") + " sehr gerne wieder, sehr gerne" * label,
            "town": ("Aachen", "Bonn")[place % 2],
        }
        for place, (row, label) in enumerate(zip(rows, labels, strict=True))
    ]
    return filled, labels


RECORDS, LABELS = records()


def use_case(family: str, params: dict[str, Any]) -> UseCase:
    return UseCase.model_validate(
        {
            "name": f"notes_{family}",
            "task": "binary",
            "labels": {"table": "gold.labels", "entity": "person", "timestamp": "at", "column": "label"},
            "features": [{"table": "gold.notes"}],
            "split": {"holdout": 0.25, "folds": 2},
            "search": {
                "families": [family], "max_evals": 1, "blend": 0, "recency_weights": False, "parallelism": 1,
                "space": {family: {name: [value] for name, value in params.items() if name in LISTED}},
            },
            "promotion": {"minimum": 0.6, "min_rows": 20, "guards": {"max_p99_ms": 5000, "max_size_mb": 50}},
            "serving": {"endpoint": family, "fields": ["probability"], "threshold": 0.5},
            "golden_request": RECORDS[0],
        }
    )  # fmt: skip


@dataclass
class Place:
    """Tables, registry and server of all families; a family is trained when a test first asks for it."""

    settings: Settings
    home: LocalHome
    client: MlflowClient
    server: ServerSettings
    promoted: dict[str, str] = field(default_factory=dict)

    def life(self, family: str) -> str:
        """The version of the family, after it was trained, promoted and deployed."""
        require(family)
        if family not in self.promoted:
            params = {**POINTS[family]}
            if family == "fine_tuned_transformer":
                folder = self.settings.project / "checkpoint"
                folder.mkdir()
                write_checkpoint(folder)
                params["checkpoint"] = str(folder)
            case = use_case(family, params)
            version = train(case, self.settings)
            ledger = Ledger(FolderLedger(Warehouse(self.home.root)))
            decision = Gate(case, self.client, lambda: self.home.store, ledger).promote()
            assert decision.promote, [reason for reason in decision.reasons if not reason.passed]
            self.deploy(case.name, str(version.version), family)
            self.promoted[family] = str(version.version)
        return self.promoted[family]

    def deploy(self, model: str, version: str, family: str) -> None:
        entity = {"entity_name": model, "entity_version": version, "name": "x"}
        self.call("POST", "/api/2.0/serving-endpoints", {"name": family, "config": {"served_entities": [entity]}})
        self.wait_for(family)

    def wait_for(self, family: str) -> None:
        """Wait until the endpoint of the family has loaded its version."""
        while (state := self.call("GET", f"/api/2.0/serving-endpoints/{family}")[1]["state"])["ready"] != "READY":
            assert "FAILED" not in state["config_update"], state
            SYSTEM.sleep(0.05)

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        token = read_token(self.server.token_file)
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        connection = HTTPConnection(self.server.host, self.server.port, timeout=120)
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        answer = response.status, json.loads(response.read())
        connection.close()
        return answer

    def ask(self, family: str, asked: Sequence[dict[str, Any]]) -> tuple[int, Any]:
        """Status, and probabilities or the message."""
        status, answer = self.call(
            "POST", f"/serving-endpoints/{family}/invocations", {"dataframe_records": list(asked)}
        )
        return status, [each["probability"] for each in answer["predictions"]] if status == 200 else answer["message"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("networks")
    home = LocalHome(open_session(), root / "warehouse")
    times = pa.array([DAY + timedelta(hours=row) for row in range(ROWS)], TIME)
    home.write("gold.labels", pa.table({"person": list(range(ROWS)), "at": times, "label": LABELS}))
    features = {
        "age": [row["age"] for row in RECORDS],
        "note": [row["note"] for row in RECORDS],
        "note_length": [len(row["note"]) for row in RECORDS],
        "town_aachen": [float(row["town"] == "Aachen") for row in RECORDS],
        "town_bonn": [float(row["town"] == "Bonn") for row in RECORDS],
    }
    known = pa.array([DAY] * ROWS, TIME)
    rows = pa.table({"person": list(range(ROWS)), "known_at": known, **features})
    home.write("gold.notes", rows, Declared(("person",), encodings=DECLARED))
    uri = new_database(root)
    settings = Settings(root, root / "warehouse", None, uri, uri, "")
    server = ServerSettings(PROJECT, root / ".serving", uri, port=free_port())
    with pytest.MonkeyPatch.context() as patch, mlflow_restored(), tracking(settings) as client:
        patch.setattr("training.stages.report.write_report", lambda *_: None)
        server_process.serve_detached(server)
        yield Place(settings, home, client, server)
        server_process.stop(server)


@pytest.mark.parametrize("family", POINTS)
def test_a_network_is_trained_tracked_gated_and_served_with_the_bits_of_its_version(
    place: Place, family: str
) -> None:
    version = place.life(family)
    name = f"notes_{family}"
    champion = place.client.get_model_version_by_alias(name, CHAMPION)
    assert (str(champion.version), champion.tags["stage"]) == (version, "Production")
    assert champion.tags["compiled"] in {"network", "tokens"}
    run = place.client.get_run(str(champion.run_id))
    assert run.data.params["family"] == family
    assert run.data.metrics["holdout_roc_auc"] >= 0.6
    status, served = place.ask(family, RECORDS)
    assert status == 200 and len(set(served)) > 10
    alone = [place.ask(family, [record])[1][0] for record in RECORDS[:5]]
    assert alone == served[:5]
    reloaded = mlflow.pyfunc.load_model(f"models:/{name}/{version}").unwrap_python_model()
    assert [each["probability"] for each in reloaded.respond(RECORDS)] == served


@pytest.mark.parametrize("family", TEXT_POINTS)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 200), (None, 200), ("这件衣服很好 👗", 200), ("x" * 100_000, 400), ("a\0b", 400), ("half \ud83d", 400),
        (7, 400),
    ],
    ids=["empty", "null", "other script", "too long", "nul", "half surrogate pair", "number"],
)  # fmt: skip
def test_an_odd_text_sent_to_a_transformer_is_predicted_or_refused(
    place: Place, family: str, text: Any, expected: int
) -> None:
    place.life(family)
    status, answer = place.ask(family, [{**RECORDS[0], "note": text}])
    assert status == expected, answer
    if expected == 200:
        assert np.isfinite(answer).all()
    else:
        assert "note" in answer or "UTF-8" in answer


@pytest.mark.parametrize("family", TEXT_POINTS)
def test_german_letters_have_one_answer_in_both_unicode_forms(place: Place, family: str) -> None:
    place.life(family)
    composed, decomposed = (place.ask(family, [{**RECORDS[0], "note": f"Kleid {each}"}]) for each in UMLAUT)
    assert composed == decomposed and composed[0] == 200


def test_the_server_of_these_versions_has_loaded_no_library_of_networks(place: Place) -> None:
    """The process and its children are judged by the files that each maps; the answer is the same after a restart."""
    families = [family for family in POINTS if family in place.promoted]
    if not families or not Path("/proc/self/maps").exists():
        pytest.skip("no version was served, or there is no /proc")
    before = {family: place.ask(family, RECORDS[:20]) for family in families}
    assert mapped(place) == []
    server_process.stop(place.server)
    server_process.serve_detached(place.server)
    for family in families:
        place.wait_for(family)
    assert {family: place.ask(family, RECORDS[:20]) for family in families} == before
    assert mapped(place) == []


def mapped(place: Place) -> list[str]:
    """Files of PyTorch, TensorFlow and Keras that the server's processes map, beside those of the ONNX runtime."""
    server = server_process.running(place.server)
    assert server is not None
    pids, files = [server.pid], set[str]()
    while pids:
        pid = pids.pop()
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            pids += [int(child) for child in children.read_text().split()]
        files |= {line.split()[-1] for line in Path(f"/proc/{pid}/maps").read_text().splitlines()}
    assert any("/onnxruntime/" in file for file in files)
    return [file for file in files if any(each in file for each in ("/torch/", "/tensorflow/", "/keras/"))]
