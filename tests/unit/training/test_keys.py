"""Keys of a frame: exact, different for different entities, and as they were when a version was registered."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.unit.frames import alternating
from training.frame.drawing import numbered
from training.frame.keys import entity_keys
from training.use_case.split import SplitPlan

LARGE = 2**53 + 1


def keys(**columns: Any) -> Any:
    return entity_keys(pa.table(columns), list(columns))


def test_integers_beyond_a_double_keep_their_digits() -> None:
    assert keys(client=[LARGE, LARGE + 1, LARGE + 2]).tolist() == [LARGE, LARGE + 1, LARGE + 2]
    assert keys(client=[LARGE, LARGE + 1], country=["DE", "DE"]).tolist() == [f"{LARGE}|DE", f"{LARGE + 1}|DE"]


def test_entities_of_two_keys_never_share_a_text() -> None:
    parts = ["".join(letters) for size in range(4) for letters in product("a|\\", repeat=size)]
    pairs = list(product(parts, repeat=2))
    joined = keys(first=[first for first, _ in pairs], second=[second for _, second in pairs])
    assert len(set(joined.tolist())) == len(pairs)


def test_pairs_without_a_bar_hash_as_when_earlier_versions_were_registered() -> None:
    countries, clients = ["DE", "AT", "DE"], [1, 1, 20]
    rows = replace(alternating(3), keys=keys(client=clients, country=countries))
    before = replace(rows, keys=np.asarray(["1|DE", "1|AT", "20|DE"]))
    assert rows.fingerprint() == before.fingerprint()


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(pa.array([b"a", b"a\0", b"\xff", b"0xff", b"0x", b""]), id="binary"),
        pytest.param(pa.array([{"a": LARGE}, {"a": LARGE + 1}, {"a": None}]), id="nested"),
        pytest.param(pa.array([Decimal("1.50"), Decimal("1.51")], pa.decimal128(38, 2)), id="decimal"),
        pytest.param(pa.array([datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]), id="time"),
        pytest.param(pa.array(["1", "01", "1 ", ""]), id="text"),
        pytest.param(pa.array([True, False]), id="boolean"),
        pytest.param(pa.array([LARGE, LARGE + 1]), id="integer"),
    ],
)
def test_a_key_of_any_type_numbers_hashes_and_splits_entities(column: pa.Array) -> None:
    found = keys(entity=column)
    assert numbered(found).tolist() == list(range(len(column)))
    rows = [replace(alternating(1), keys=found[[at]]) for at in range(len(column))]
    assert len({row.fingerprint() for row in rows}) == len(column)
    frame = replace(alternating(len(column)), keys=found)
    plan = SplitPlan.model_validate({"by": "group", "folds": 2})
    assert sum(len(validation) for _, validation in plan.kind.folds(frame, plan, 0)) == len(column)
    assert plan.kind.holdout(frame, plan).dtype == np.bool_
