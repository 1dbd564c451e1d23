"""The pinned holdout: rebuilt exactly, without training rows of either version; and loaded versions that score it."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast

import mlflow
import numpy as np
import pyarrow as pa
import pytest
from mlflow.entities.model_registry import ModelVersion

from deployment.gate.holdout import Holdout, HoldoutRefused, exclude_seen, rebuild
from deployment.gate.loaded_version import RESPONSES, WARM_UP, LoadedVersion, VersionBroken
from scoring.digest import DIGEST, digest
from scoring.pyfunc import ScoringModel
from scoring.scorer import ResponseFormat, Scorer
from scoring.tasks import MULTICLASS
from tests.unit.frames import ENCODER, alternating, by_time
from tests.unit.in_memory_reader import InMemoryFeatureReader, use_case
from training.frame import splits
from training.frame.build import load_frame
from training.frame.provenance import Provenance, provenance
from training.search.fitting import fit
from training.space.joint_space import Candidate
from training.space.space import Params
from training.use_case.promotion import GuardLimits
from training.use_case.split import hashed_below
from training.use_case.use_case import UseCase

START = datetime(2020, 1, 1, tzinfo=UTC)
USE_CASE = use_case("gold.people").model_copy(update={"split": by_time(holdout=0.2)})
PARAMS: Params = {
    "inverse_regularization": 0.5,
    "penalty": "l2",
    "numeric_shape": "as_is",
    "class_weight": None,
    "recency_half_life_days": None,
}


def store(height_of_the_last: float = 1.5, rows: int = 20) -> InMemoryFeatureReader:
    columns: dict[str, Any] = {
        "entity": range(rows),
        "at": [START + timedelta(days=day) for day in range(rows)],
        "label": [day % 2 for day in range(rows)],
        "height": [1.0] * (rows - 1) + [height_of_the_last],
    }
    return InMemoryFeatureReader(
        pa.table({name: list(values) for name, values in columns.items()}), {"gold.people": ["height"]}
    )


def pinned() -> Provenance:
    split = splits.split(load_frame(USE_CASE, store()), by_time(holdout=0.2))
    return provenance(split, by_time(), None)


def version(number: str, data: Provenance) -> ModelVersion:
    return cast(ModelVersion, SimpleNamespace(name="people", version=number, tags=data.tags()))


def test_the_holdout_is_the_pinned_rows() -> None:
    rows = rebuild(USE_CASE, version("2", pinned()), store())
    assert rows.fingerprint == pinned().holdout_fingerprint
    assert rows.rows.keys.tolist() == [16, 17, 18, 19]


def test_the_holdout_is_read_at_the_pinned_versions() -> None:
    reader, sources = store(), {"gold.labels": 0, "gold.people": 3}
    rows = rebuild(USE_CASE, version("2", replace(pinned(), sources=sources)), reader)
    assert reader.requested == {"gold.people": 3}
    assert rows.rows.sources == sources


@pytest.mark.parametrize(
    "changed",
    [pytest.param(store(1.75), id="a feature"), pytest.param(store(rows=21), id="a row more")],
)
def test_a_holdout_that_has_changed_is_refused(changed: InMemoryFeatureReader) -> None:
    with pytest.raises(HoldoutRefused, match=r"holdout of version 2 has changed: .*hash to \w{12}, not \w{12}\n"):
        rebuild(USE_CASE, version("2", pinned()), changed)


def test_changes_before_the_holdout_are_ignored() -> None:
    rows = store().joined.to_pydict()
    before = InMemoryFeatureReader(
        pa.table(rows | {"height": [9.0, *rows["height"][1:]]}), {"gold.people": ["height"]}
    )
    assert rebuild(USE_CASE, version("2", pinned()), before).fingerprint == pinned().holdout_fingerprint


def holdout_of(challenger: ModelVersion) -> Holdout:
    return rebuild(USE_CASE, challenger, store())


@pytest.mark.parametrize(("days", "left"), [(-1, 4), (0, 3), (1, 2), (2, 1)])
def test_training_rows_of_the_champion_are_excluded(days: int, left: int) -> None:
    challenger = version("2", pinned())
    champion = version("1", replace(pinned(), last=pinned().holdout_from + timedelta(days=days)))
    unseen = exclude_seen(holdout_of(challenger), champion, challenger, "exclude")
    assert (len(unseen.rows), unseen.excluded) == (left, 4 - left)
    assert unseen.fingerprint == unseen.rows.fingerprint()
    assert (unseen.fingerprint == pinned().holdout_fingerprint) == (left == 4)


@pytest.mark.parametrize(("overlap", "days"), [("refuse", 0), ("refuse", 3), ("exclude", 3)])
def test_an_overlap_is_refused_by_policy_or_without_remaining_rows(
    overlap: Literal["exclude", "refuse"], days: int
) -> None:
    challenger = version("2", pinned())
    champion = version("1", replace(pinned(), last=pinned().holdout_from + timedelta(days=days)))
    with pytest.raises(HoldoutRefused, match=r"(?s)version 1 was trained on rows up to 2020-01.*newer data"):
        exclude_seen(holdout_of(challenger), champion, challenger, overlap)


def test_a_challenger_that_was_trained_on_its_own_holdout_is_refused() -> None:
    with pytest.raises(HoldoutRefused, match="version 2 was trained on rows up to"):
        rebuild(USE_CASE, version("2", replace(pinned(), last=pinned().holdout_from)), store())


@pytest.mark.parametrize(
    ("trained", "some_left"),
    [(None, False), (0.5, True), (0.3, True), (0.1, True)],
)
def test_a_holdout_by_entity_keeps_the_entities_that_both_versions_held_out(
    trained: float | None, some_left: bool
) -> None:
    rows = alternating(400)
    inside = rows.rows(hashed_below(rows.keys, 0.3))
    entities = Holdout(inside, inside.fingerprint())
    challenger = version("2", replace(pinned(), holdout_entities=0.3))
    champion = version("1", replace(pinned(), holdout_entities=trained, last=datetime(2030, 1, 1, tzinfo=UTC)))
    if not some_left:
        with pytest.raises(HoldoutRefused):
            exclude_seen(entities, champion, challenger, "exclude")
        return
    unseen = exclude_seen(entities, champion, challenger, "exclude")
    expected = hashed_below(rows.keys, min(trained or 0, 0.3)).sum()
    assert len(unseen.rows) == expected > 0


def test_slices_are_columns_of_the_holdout() -> None:
    rows = holdout_of(version("2", pinned()))
    sliced = with_slices("height")
    assert rows.as_rows(sliced).slices["height"].tolist() == [1.0, 1.0, 1.0, 1.5]
    assert rows.as_rows(sliced).fingerprint == pinned().holdout_fingerprint
    with pytest.raises(HoldoutRefused, match=r"no column 'weight' for slices\. Did you mean 'height'"):
        rows.as_rows(with_slices("weight"))


def test_a_slice_of_a_category_is_named() -> None:
    rows = Holdout(alternating(8), "hash").as_rows(with_slices("place_index"))
    assert rows.category_names == {"place_index": ("unknown", "Aachen", "Bonn", "Celle")}
    assert rows.format_slice("place_index", np.float64(2)) == "2 (Bonn)"
    numbers = Holdout(alternating(8), "hash").as_rows(with_slices("amount"))
    assert numbers.format_slice("amount", 1.5) == "1.5"


def with_slices(column: str) -> UseCase:
    promotion = USE_CASE.promotion.model_copy(update={"guards": GuardLimits(slices=(column,))})
    return USE_CASE.model_copy(update={"promotion": promotion})


def registered(monkeypatch: pytest.MonkeyPatch, folder: Path, model: object) -> list[str]:
    """Replace the registry by one model; return the list of requested URIs."""
    requested: list[str] = []
    metadata = SimpleNamespace(get_input_schema=lambda: None, metadata=None)

    def download(artifact_uri: str, dst_path: str) -> str:
        requested.append(artifact_uri)
        return shutil.copytree(folder, dst_path, dirs_exist_ok=True)

    loaded = SimpleNamespace(unwrap_python_model=lambda: model, metadata=metadata)
    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", download)
    monkeypatch.setattr(mlflow.pyfunc, "load_model", lambda _path: loaded)
    return requested


def registered_version(number: str, folder: Path) -> ModelVersion:
    """Version with the digest of the files in the folder."""
    return cast(ModelVersion, SimpleNamespace(name="people", version=number, tags={DIGEST: digest(folder)}))


def test_a_version_scores_the_features_of_the_holdout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = alternating(60)
    model = ScoringModel()
    model.scorer = Scorer(
        fit(Candidate("logistic_regression", PARAMS), rows, 0), ENCODER, ResponseFormat(("label",), 0.5)
    )
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "run.py").write_text("not counted")
    (tmp_path / "model").write_bytes(bytes(2_500_000))
    requested = registered(monkeypatch, tmp_path, model)
    scores = LoadedVersion.load(registered_version("7", tmp_path)).scores(Holdout(rows, "hash"), GuardLimits())
    assert (scores.version, scores.holdout, requested) == (7, "hash", ["models:/people/7"])
    assert (scores.measured.size_mb, scores.measured.p99_ms, scores.measured.inputs) == (2.5, None, None)
    np.testing.assert_array_equal(scores.predicted, model.scorer.predict(rows.features))


def test_the_latency_is_the_99th_percentile_after_a_warm_up() -> None:
    times = iter(range(10**6))
    ticks = iter([9.0] * WARM_UP + [float(place) for place in range(RESPONSES)])

    def clock() -> int:
        """Return 0 at the start of each prediction, and its duration from `ticks` in nanoseconds at the end."""
        return 0 if next(times) % 2 == 0 else int(next(ticks) * 1e6)

    scorer = cast(Scorer, SimpleNamespace(respond=lambda _records: [{"label": 1}]))
    golden = {"golden_request": {}, "golden_response": {"label": 1}}
    assert LoadedVersion(version("7", pinned()), scorer, 0, None, golden).p99_ms(clock) == pytest.approx(
        RESPONSES * 0.99, rel=0.01
    )


def test_a_model_of_another_class_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    registered(monkeypatch, tmp_path, object())
    with pytest.raises(VersionBroken, match=r"version 7 .* is a object, not a scoring model.*\n.*training\.run"):
        LoadedVersion.load(registered_version("7", tmp_path))


@pytest.mark.parametrize("tags", [{}, {DIGEST: "0" * 64}])
def test_files_without_the_registered_digest_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tags: dict[str, str]
) -> None:
    registered(monkeypatch, tmp_path, ScoringModel())
    with pytest.raises(VersionBroken, match=r"the registry has"):
        LoadedVersion.load(cast(ModelVersion, SimpleNamespace(name="people", version="7", tags=tags)))


def test_a_version_that_needs_missing_features_is_refused() -> None:
    scorer = cast(Scorer, SimpleNamespace(encoder=SimpleNamespace(features=("amount", "shoe_size"))))
    with pytest.raises(VersionBroken, match="it needs features that the tables lack: shoe_size"):
        LoadedVersion(version("7", pinned()), scorer, 0, None, {}).scores(
            Holdout(alternating(20), "hash"), GuardLimits()
        )


def of_classes(*classes: str) -> LoadedVersion:
    """Version with these classes and a fixed probability for each."""
    probabilities = np.asarray([{"a": 0.7, "b": 0.2, "c": 0.1}[each] for each in classes])
    scorer = SimpleNamespace(
        encoder=SimpleNamespace(features=("amount",)),
        response_format=ResponseFormat(("label",), 0.5, MULTICLASS, classes),
        predict=lambda features: np.tile(probabilities, (len(features["amount"]), 1)),
    )
    return LoadedVersion(version("7", pinned()), cast(Scorer, scorer), 0, None, {})


@pytest.mark.parametrize("classes", [("a", "b", "c"), ("c", "a", "b"), ("b", "a", "c")])
def test_classes_in_another_order_are_matched_by_name(classes: tuple[str, ...]) -> None:
    rows = replace(alternating(20), task=MULTICLASS, classes=("a", "b", "c", "d"))
    scores = of_classes(*classes).scores(Holdout(rows, "hash"), GuardLimits())
    assert scores.predicted.tolist() == [[0.7, 0.2, 0.1, 0.0]] * 20


def test_the_probability_of_a_removed_class_is_dropped() -> None:
    rows = replace(alternating(20), task=MULTICLASS, classes=("a", "b", "d"))
    scores = of_classes("a", "b", "c").scores(Holdout(rows, "hash"), GuardLimits())
    np.testing.assert_allclose(scores.predicted.sum(axis=1), 0.9)


def test_a_version_of_another_task_is_refused() -> None:
    with pytest.raises(VersionBroken, match="its task is multiclass, but the use case's is binary"):
        of_classes("a", "b", "c").scores(Holdout(alternating(20), "hash"), GuardLimits())


@pytest.mark.parametrize("metadata", [{}, {"golden_request": {}}])
def test_a_version_without_golden_predictions_is_refused(metadata: dict[str, Any]) -> None:
    scorer = cast(Scorer, SimpleNamespace(respond=lambda _records: [{"label": 1}]))
    with pytest.raises(VersionBroken, match="it has no golden request and responses"):
        LoadedVersion(version("7", pinned()), scorer, 0, None, metadata).replay()


def test_a_version_that_raises_on_its_golden_request_is_refused() -> None:
    def fail(_records: object) -> object:
        raise ValueError("X has 2 features, but is expecting 3")

    scorer = cast(Scorer, SimpleNamespace(respond=fail))
    with pytest.raises(VersionBroken, match="does not respond to its golden request: X has 2 features"):
        LoadedVersion(version("7", pinned()), scorer, 0, None, {"golden_request": {}, "golden_response": {}}).replay()


def test_a_version_that_another_tool_registered_is_refused() -> None:
    strange = cast(ModelVersion, SimpleNamespace(name="people", version="7", tags={}))
    with pytest.raises(HoldoutRefused, match="version 7"):
        rebuild(USE_CASE, strange, store())
    challenger = version("8", pinned())
    with pytest.raises(HoldoutRefused, match="version 7"):
        exclude_seen(holdout_of(challenger), strange, challenger, "exclude")


def test_rows_of_a_decision_carry_entities_and_times_where_time_orders_them() -> None:
    frame = replace(alternating(20), keys=np.repeat(np.arange(10), 2))
    for in_time in (True, False):
        rows = Holdout(replace(frame, in_time=in_time), "hash").as_rows(USE_CASE)
        assert rows.dependence.keys is not None
        assert rows.dependence.keys.tolist() == frame.keys.tolist()
        assert (rows.dependence.times is None) is not in_time
