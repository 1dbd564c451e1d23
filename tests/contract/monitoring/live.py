"""Logged traffic of the use case `people`, and labels that arrive later."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from deployment.model_server.request_log.payload_table import Exchange, append

START = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TABLE = "logs.people_payload"
Requests = list[tuple[str, datetime, float, int]]  # ID, time, probability and label


def log_days(warehouse: Path, shifts: Sequence[float | None], version: int = 2, rows: int = 400) -> Requests:
    """Log one-record requests of some days; `height` moves by a shift. None logs nothing."""
    draw = np.random.default_rng(11)
    exchanges, requests = [], Requests()
    for day, shift in enumerate(shifts):
        for number in range(0 if shift is None else rows):
            label = int(draw.integers(0, 2))
            record = {"height": float(label + draw.normal(0, 0.7) + (shift or 0.0)), "noise": float(draw.normal())}
            at = START + day * DAY + timedelta(seconds=60 * number)
            probability = float(1 / (1 + np.exp(-4 * (record["height"] - 0.5))))
            exchange = _exchange(record, probability, at, f"{day}-{number}", version)
            exchanges.append(exchange)
            requests.append((f"{day}-{number}", at, probability, label))
    append(warehouse / "logs/people_payload", [each.row() for each in exchanges])
    return requests


def write_labels(warehouse: Path, requests: Requests, late: timedelta = DAY, **changed: Any) -> None:
    """Labels by the ID of the request, known a day later."""
    rows = [{"request": id_, "label": label, "known": at + late} for id_, at, _, label in requests]
    table = pa.Table.from_pylist(rows + changed.get("more", []), LABEL_TABLE)
    write_deltalake(warehouse / "gold/outcomes", table, mode="overwrite")


LABEL_TABLE = pa.schema([("request", pa.string()), ("label", pa.int64()), ("known", pa.timestamp("us", "UTC"))])


def _exchange(record: dict[str, Any], probability: float, at: datetime, id_: str, version: int) -> Exchange:
    return Exchange(
        id=id_,
        received=at.timestamp(),
        client_request_id=id_,
        request=json.dumps({"dataframe_records": [record]}).encode(),
        served=f"people-{version}",
        milliseconds=4.0,
        status=200,
        response=json.dumps({"predictions": [{"probability": probability}]}).encode(),
    )
