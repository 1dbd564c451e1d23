"""The rows that two versions are judged on: the pinned ones, unseen by both, or none."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import mlflow
import numpy as np
import pyarrow as pa
import pytest
from mlflow.entities.model_registry import ModelVersion

from deployment import holdout
from deployment.holdout import Holdout, HoldoutRefused, load_scorer, rebuild, require_unseen, score
from tests.unit.frames import ENCODER, alternating, by_time
from tests.unit.shelf import Shelf, use_case
from training import splitting
from training.dataset import load_frame
from training.provenance import Provenance, provenance
from training.pyfunc import ScoringModel
from training.scoring import Answering, Scorer
from training.search.joint import Candidate
from training.search.space import Params
from training.search.trial import fit

START = datetime(2020, 1, 1, tzinfo=UTC)
USE_CASE = use_case("gold.people").model_copy(update={"split": by_time(holdout=0.2)})
PARAMS: Params = {
    "inverse_regularization": 0.5,
    "penalty": "l2",
    "numeric_shape": "as_is",
    "class_weight": None,
    "recency_half_life_days": None,
}


def store(height_of_the_last: float = 1.5, rows: int = 20) -> Shelf:
    columns: dict[str, Any] = {
        "entity": range(rows),
        "at": [START + timedelta(days=day) for day in range(rows)],
        "label": [day % 2 for day in range(rows)],
        "height": [1.0] * (rows - 1) + [height_of_the_last],
    }
    return Shelf(pa.table({name: list(values) for name, values in columns.items()}), {"gold.people": ["height"]})


def pinned() -> Provenance:
    split = splitting.split(load_frame(USE_CASE, store()), by_time(holdout=0.2))
    return provenance(split, by_time(), None)


def version(number: str, data: Provenance) -> ModelVersion:
    return cast(ModelVersion, SimpleNamespace(name="people", version=number, tags=data.tags()))


def test_the_holdout_is_the_pinned_rows() -> None:
    rows = rebuild(USE_CASE, version("2", pinned()), store())
    assert rows.fingerprint == pinned().holdout_fingerprint
    assert rows.rows.keys.tolist() == [16, 17, 18, 19]


def test_the_holdout_is_read_at_the_pinned_versions() -> None:
    shelf, sources = store(), {"gold.labels": 0, "gold.people": 3}
    rows = rebuild(USE_CASE, version("2", replace(pinned(), sources=sources)), shelf)
    assert shelf.asked == {"gold.people": 3}
    assert rows.rows.sources == sources


@pytest.mark.parametrize(
    "changed",
    [pytest.param(store(1.75), id="a feature"), pytest.param(store(rows=21), id="a row more")],
)
def test_a_holdout_that_has_changed_is_refused(changed: Shelf) -> None:
    with pytest.raises(HoldoutRefused, match=r"holdout of version 2 has changed: .*hash to \w{12}, not \w{12}\n"):
        rebuild(USE_CASE, version("2", pinned()), changed)


def test_what_changed_before_the_holdout_does_not_matter() -> None:
    rows = store().rows.to_pydict()
    before = Shelf(pa.table(rows | {"height": [9.0, *rows["height"][1:]]}), {"gold.people": ["height"]})
    assert rebuild(USE_CASE, version("2", pinned()), before).fingerprint == pinned().holdout_fingerprint


@pytest.mark.parametrize(("microseconds", "seen"), [(-1, False), (0, True), (1, True)])
def test_a_champion_that_was_trained_on_the_holdout_is_not_compared(microseconds: int, seen: bool) -> None:
    challenger = version("2", pinned())
    last = pinned().holdout_from + timedelta(microseconds=microseconds)
    champion = version("1", replace(pinned(), last=last))
    if not seen:
        require_unseen(champion, challenger)
        return
    with pytest.raises(HoldoutRefused, match=r"(?s)version 1, was trained on rows up to 2020-01-17.*newer data"):
        require_unseen(champion, challenger)


def registered(monkeypatch: pytest.MonkeyPatch, model: object) -> list[str]:
    """Let the registry hold one model; the addresses that it was asked for."""
    asked: list[str] = []

    def load_model(uri: str) -> Any:
        asked.append(uri)
        return SimpleNamespace(unwrap_python_model=lambda: model)

    monkeypatch.setattr(mlflow.pyfunc, "load_model", load_model)
    return asked


def test_a_version_scores_the_features_of_the_holdout(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = alternating(60)
    model = ScoringModel()
    model.scorer = Scorer(fit(Candidate("logistic_regression", PARAMS), rows, 0), ENCODER, Answering(("label",), 0.5))
    asked = registered(monkeypatch, model)
    scores = score(version("7", pinned()), Holdout(rows, "hash"))
    assert (scores.version, scores.holdout, asked) == (7, "hash", ["models:/people/7"])
    np.testing.assert_array_equal(scores.probabilities, model.scorer.predicted(rows.features))


def test_a_model_of_another_kind_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch, object())
    with pytest.raises(HoldoutRefused, match=r"version 7 is a object and no scoring model.*\n.*training\.run"):
        load_scorer(version("7", pinned()))


@pytest.mark.parametrize("read", [rebuild, require_unseen])
def test_a_version_that_another_tool_registered_is_refused(read: Any) -> None:
    strange = cast(ModelVersion, SimpleNamespace(name="people", version="7", tags={}))
    with pytest.raises(HoldoutRefused, match="version 7"):
        if read is rebuild:
            holdout.rebuild(USE_CASE, strange, store())
        else:
            holdout.require_unseen(strange, version("8", pinned()))
