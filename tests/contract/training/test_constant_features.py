"""A feature that is constant in training moves no prediction: from tables through a training run to a request."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from mlflow.entities.model_registry import ModelVersion

from deployment.model_server.app import create_app
from deployment.model_server.settings import ServerSettings
from lakehouse.settings import Settings
from tests.contract.databases import new_database
from tests.contract.people import USE_CASE, mlflow_restored
from tests.unit.model_server.in_process import ROOT, SCORE, Caller, with_lifespan
from training.run import train
from training.use_case.use_case import UseCase

ROWS = 300
CASE = UseCase.model_validate(
    USE_CASE.model_dump()
    | {
        "search": {
            "families": ["logistic_regression"],
            "max_evals": 2,
            "blend": 0,
            "leave_out": [["channel", "noise"]],
        },
        "golden_request": {"height": 1.0, "noise": 0.0, "channel": 7},
    }
)


def write_tables(root: Path) -> None:
    """One person a day: `height` predicts the label, and `channel` is 7 until the holdout begins."""
    draw = np.random.default_rng(3)
    label = draw.integers(0, 2, ROWS)
    days = [datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(ROWS)]
    time = pa.array(days, pa.timestamp("us", "UTC"))
    write_deltalake(root / "gold/labels", pa.table({"person": range(ROWS), "at": time, "label": label}))
    channel = np.where(np.arange(ROWS) < ROWS * 0.7, 7.0, 1000.0)
    features = {"height": label + draw.normal(0, 0.7, ROWS), "noise": draw.normal(0, 1, ROWS), "channel": channel}
    write_deltalake(root / "gold/bodies", pa.table({"person": range(ROWS), "known_at": time, **features}))
    published = {
        "feature_table.primary_keys": json.dumps(["person"]),
        "feature_table.timestamp_column": "known_at",
        "feature_table.description": "",
        "feature_table.features": json.dumps({name: {"data_type": "double", "description": ""} for name in features}),
    }
    DeltaTable(root / "gold/bodies").alter.set_table_properties(published, raise_if_not_exists=False)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("constant")
    write_tables(folder)
    uri = new_database(folder)
    return Settings(folder, folder, None, uri, uri, "")


@pytest.fixture(scope="module")
def version(settings: Settings) -> Iterator[ModelVersion]:
    with mlflow_restored():
        yield train(CASE, settings)


def test_another_value_of_a_constant_feature_gives_the_same_answer(
    settings: Settings, version: ModelVersion, tmp_path: Path
) -> None:
    record = {"height": 0.4, "noise": 0.1}
    records = [record | {"channel": value} for value in (7, 8.5, 1000)]
    answers: list[object] = []

    async def scenario(call: Caller) -> None:
        entity = {"entity_name": CASE.name, "entity_version": str(version.version), "workload_size": "Small"}
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
