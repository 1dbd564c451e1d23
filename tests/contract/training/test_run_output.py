"""A training run says what a reader of its metrics must know, and ignores constant features, up to the endpoint.

The rows: 3 of 100 persons a day, of whom one in ten has label 1, so that always 0 has an accuracy of 0.9.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from deployment.model_server.app import create_app
from deployment.model_server.settings import ServerSettings
from lakehouse import console
from lakehouse.settings import Settings
from tests.contract.databases import new_database
from tests.contract.people import USE_CASE, mlflow_restored, write_bodies
from tests.unit.model_server.in_process import ROOT, SCORE, Caller, with_lifespan
from tests.unit.report.pages import Page
from training.run import train
from training.use_case.use_case import UseCase

ROWS, PERSONS, A_DAY = 600, 100, 3
CASE = UseCase.model_validate(
    USE_CASE.model_dump()
    | {
        "split": {"holdout": 0.3, "folds": 2, "gap": 7},
        "search": {
            "families": ["logistic_regression", "knn"],
            "max_evals": 3,
            "blend": 2,
            "prune": False,
            "leave_out": [["channel", "noise"]],
        },
        "promotion": {"metric": "accuracy", "minimum": 0.6},
        "golden_request": {"height": 1.0, "noise": 0.0, "channel": 7},
    }
)


def write_tables(root: Path) -> None:
    """`height` predicts the label a little; `channel` is 7 until the holdout begins, and 1000 from then on."""
    draw = np.random.default_rng(3)
    label = (np.arange(ROWS) % 10 == 0).astype(int)
    days = [datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=row // A_DAY) for row in range(ROWS)]
    time, person = pa.array(days, pa.timestamp("us", "UTC")), np.arange(ROWS) % PERSONS
    write_deltalake(root / "gold/labels", pa.table({"person": person, "at": time, "label": label}))
    channel = np.where(np.arange(ROWS) < ROWS * 0.7, 7.0, 1000.0)
    features = {"height": label + draw.normal(0, 0.7, ROWS), "noise": draw.normal(0, 1, ROWS), "channel": channel}
    write_bodies(root, person, time, features)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("constant")
    write_tables(folder)
    uri = new_database(folder)
    return Settings(folder, folder, None, uri, uri, "")


@dataclass(frozen=True)
class Trained:
    """A version, the console output of its training, and its report."""

    version: ModelVersion
    output: str
    page: str
    metrics: Mapping[str, float]


@pytest.fixture(scope="module")
def trained(settings: Settings) -> Iterator[Trained]:
    output = StringIO()
    with mlflow_restored(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(console.OUT, "_file", output)  # `file` would keep the stdout of this moment
        patch.setattr("training.report.sections.explanation.blocks", lambda _: ())  # takes seconds
        version = train(CASE, settings)
        metrics = MlflowClient().get_run(str(version.run_id)).data.metrics
        page = settings.reports / CASE.name / f"version-{version.version}.html"
        yield Trained(version, output.getvalue(), page.read_text(encoding="utf-8"), metrics)


def everywhere(trained: Trained, text: str) -> bool:
    """True if console, description and report have the text."""
    label, _, value = text.partition(": ")
    in_page = f"<dt>{label}</dt><dd>" in trained.page and value in trained.page
    return text in trained.output and text in str(trained.version.description) and in_page


def test_constant_features_are_named_everywhere(trained: Trained) -> None:
    assert everywhere(trained, "Constant features: channel (7); left out of the model")
    assert "constant on all training rows, left out of the model: channel (7)\n" in trained.output


def test_holdout_rows_of_entities_with_training_rows_are_counted_everywhere(trained: Trained) -> None:
    assert everywhere(trained, "Entities: 180 of 180 holdout rows (100.0%) are of entities with training rows")


def test_the_units_that_intervals_resample_are_named_everywhere(trained: Trained) -> None:
    assert everywhere(trained, "Intervals: by resampling 100 entities, 60 times in blocks of 11")


def test_the_gap_and_its_rows_are_named_everywhere(trained: Trained) -> None:
    assert everywhere(trained, "Gap: 7 days before the holdout and each fold; 18 rows dropped before the holdout")


def test_the_number_of_trials_is_the_same_everywhere(trained: Trained) -> None:
    """Three proposed trials: neither the baseline nor the blend counts."""
    assert ": 3 trials on 2 folds" in trained.output
    assert "  3 trials: 3 ok; best: " in trained.output
    assert "; best of 3 trials" in str(trained.version.description)
    assert re.search(r"Trials</\w+>\s*<[^>]*>3<", trained.page), trained.page[trained.page.index("Trials") :][:200]
    assert "3 trials by TPE" in trained.page


def test_the_baseline_stands_beside_every_metric(trained: Trained) -> None:
    lines = {line.split()[0]: line.split()[1:] for line in trained.output.splitlines() if line.strip()}
    assert lines["metric"] == ["folds", "baseline", "holdout", "baseline"]
    assert lines["accuracy"][3] == "0.9000" and lines["roc_auc"][1] == lines["roc_auc"][3] == "0.5000"
    assert trained.metrics["holdout_baseline_accuracy"] == 0.9
    assert re.search(r"\nHoldout: .*accuracy \S+ \(baseline 0\.9000, ", str(trained.version.description))
    assert Page(trained.page).table("Metrics with bootstrap").column("Baseline")["accuracy"]


def test_another_value_of_a_constant_feature_gives_the_same_answer(
    settings: Settings, trained: Trained, tmp_path: Path
) -> None:
    record = {"height": 0.4, "noise": 0.1}
    records = [record | {"channel": value} for value in (7, 8.5, 1000)]
    answers: list[object] = []

    async def scenario(call: Caller) -> None:
        entity = {"entity_name": CASE.name, "entity_version": str(trained.version.version), "workload_size": "Small"}
        await call(
            "POST", ROOT, {"name": "e", "config": {"served_entities": [entity | {"scale_to_zero_enabled": True}]}}
        )
        await call.settled()
        response = await call("POST", SCORE, {"dataframe_records": records})
        assert response.status == 200, response.body
        answers.extend(response.body["predictions"])
        missing = await call("POST", SCORE, {"dataframe_records": [record]})
        assert missing.status == 400 and "channel" in str(missing.body)

    server = ServerSettings(tmp_path, tmp_path / "state", settings.tracking_uri)
    app = create_app(server)

    async def served() -> None:
        async with with_lifespan(app):
            await scenario(Caller(app, server.token_file.read_text().strip()))

    asyncio.run(served())
    assert len(answers) == 3
    assert answers[0] == answers[1] == answers[2]
