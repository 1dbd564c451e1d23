"""Loading and checking a training frame."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from scoring.tasks import TASKS
from tests.unit.in_memory_reader import InMemoryFeatureReader, use_case
from training.feature_store.errors import FeatureNotFound, StaleTable
from training.frame.build import load_frame
from training.frame.frame import TrainingFrame
from training.frame.on_spark import OnSpark, keep_joined
from training.frame.refusals import FrameRefused
from training.use_case.use_case import UseCase, with_search

START = datetime(2020, 1, 1, tzinfo=UTC)
AGES: list[Any] = [30, 17, 50, 41]
DECLARED = {"gold.people": ["place_index", "age", "height"]}
ENCODINGS: list[dict[str, Any]] = [
    {"column": "age", "as": "number"},
    {"column": "place", "as": "category_index", "index": "gold.place_index"},
    {"column": "colour", "as": "one_hot", "categories": ["red"]},
]
PLACES = {"gold.place_index": ("", "Aachen", "Bonn")}


def reader(**columns: list[Any] | pa.Array) -> InMemoryFeatureReader:
    rows = {
        "entity": [1, 2, 3, 4],
        "at": [START + timedelta(days=day) for day in range(4)],
        "label": [0, 1, 0, 1],
        "place_index": [1, 2, 0, 7],
        "age": AGES,
        "height": [1.5, 1.75, 2.0, 1.25],
    }
    return InMemoryFeatureReader(pa.table(rows | columns), DECLARED, ENCODINGS, PLACES)


def loaded(store: InMemoryFeatureReader) -> TrainingFrame:
    return load_frame(use_case("gold.people"), store)


def test_the_matrix_has_the_features_in_table_order() -> None:
    frame = loaded(reader())
    assert frame.columns == ("place_index=0", "place_index=1", "place_index=2", "age", "height")
    assert frame.x.toarray().tolist() == [
        [0, 1, 0, 30, 1.5],
        [0, 0, 1, 17, 1.75],
        [1, 0, 0, 50, 2.0],
        [1, 0, 0, 41, 1.25],  # 7 is newer than the vocabulary
    ]
    assert (frame.y.tolist(), frame.keys.tolist()) == ([0, 1, 0, 1], [1, 2, 3, 4])
    assert (frame.first, frame.last) == (START, START + timedelta(days=3))


def test_an_encoding_without_features_needs_no_raw_column() -> None:
    frame = load_frame(use_case({"table": "gold.people", "exclude": ["place_index"]}), reader())
    assert frame.columns == ("age", "height")
    assert [encoding.column for encoding in frame.encoder.encodings] == ["age", "height"]


def test_a_feature_without_an_encoding_is_a_number_of_its_own_name() -> None:
    encoder = loaded(reader()).encoder
    assert [(e.column, e.expected(encoder)) for e in encoder.encodings][-1] == ("height", "double")
    assert encoder.features_of([{"age": 3, "place": "Bonn", "height": 1.5}])["height"].tolist() == [1.5]


def test_every_table_that_was_read_is_a_source() -> None:
    store = reader()
    assert loaded(store).sources == {"gold.labels": 9, "gold.people": 9, "gold.place_index": 9}
    assert set(store.requested.values()) == {None}


def test_pinned_versions_are_read_including_version_zero() -> None:
    pinned = {"gold.labels": 4, "gold.people": 3, "gold.place_index": 0}
    store = reader()
    frame = load_frame(use_case("gold.people"), store, pinned)
    assert store.requested == {"gold.people": 3, "gold.place_index": 0}
    assert {name: frame.sources[name] for name in ("gold.labels", "gold.people")} == {
        "gold.labels": 4,
        "gold.people": 3,
    }


def test_a_stale_table_is_named_before_any_frame_is_read() -> None:
    stale = replace(reader(), max_age=timedelta(days=2))
    with pytest.raises(StaleTable, match=r"gold\.people ends at 2020-01-01 00:00 UTC; its maximum age is 2 days"):
        load_frame(use_case("gold.people"), stale, now=START + timedelta(days=3))
    assert stale.spines == []
    load_frame(use_case("gold.people"), stale, now=START + timedelta(days=2))
    assert stale.spines == ["gold.labels"]


def test_missing_features_are_counted_by_name() -> None:
    expected = (
        r"spine \(4 in all\): place_index in 1, age in 2\n  Give place_index and age a value .*'impute'.*`exclude`"
    )
    with pytest.raises(FrameRefused, match=expected):
        loaded(reader(age=[None, 17, None, 41], place_index=[1, None, 0, 0]))


def test_a_feature_that_is_null_in_every_row_is_refused_by_name() -> None:
    with pytest.raises(FrameRefused, match=r"missing or infinite in rows of the spine \(4 in all\): age in 4"):
        loaded(reader(age=pa.array([None] * 4, pa.int64())))


def test_a_feature_with_infinite_values_is_refused_by_name() -> None:
    with pytest.raises(FrameRefused, match=r"missing or infinite in rows of the spine \(4 in all\): age in 2"):
        loaded(reader(age=[float("inf"), 17.0, float("-inf"), 41.0]))


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        pytest.param([0, 0, 0, 0], r"\[0\]", id="one class"),
        pytest.param([0, 1, 2, 1], r"\[0, 1, 2\]", id="three classes"),
        pytest.param([0, 1, None, 1], r"\[0, 1, None\]", id="NULL"),
        pytest.param([-1, 1, -1, 1], r"\[-1, 1\]", id="other numbers"),
        pytest.param(["0", "1", "0", "1"], r"\['0', '1'\]", id="text"),
    ],
)
def test_labels_are_zero_and_one_and_nothing_else(labels: list[Any], found: str) -> None:
    with pytest.raises(FrameRefused, match=rf"gold\.labels\.label has only {found}"):
        loaded(reader(label=labels))


@pytest.mark.parametrize("labels", [[False, True, False, True], [0.0, 1.0, 0.0, 1.0]])
def test_labels_may_be_written_as_other_types(labels: list[Any]) -> None:
    y = loaded(reader(label=labels)).y
    assert y.dtype == np.int64
    assert y.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    "heights",
    [
        pytest.param(pa.array([1, 2, 3, 4], pa.int16()), id="integers"),
        pytest.param(pa.array([2**53 + 2, 2, 3, 4], pa.int64()), id="integers beyond the exact ones"),
        pytest.param(pa.array([1.5, 2, 3, 4], pa.float32()), id="single precision"),
        pytest.param(pa.array([Decimal("1.25"), *[Decimal(2)] * 3], pa.decimal128(10, 2)), id="decimals"),
        pytest.param(pa.array([True, False, True, True]), id="truth"),
    ],
)
def test_a_feature_may_be_any_kind_of_number(heights: pa.Array) -> None:
    frame = loaded(reader(height=heights))
    column = frame.x.toarray()[:, frame.columns.index("height")]
    assert column.dtype == np.float64
    assert column.tolist() == [float(value) for value in heights.to_pylist()]
    assert frame.features["height"].astype(np.float64).tolist() == column.tolist()


def test_a_spine_without_rows_is_refused() -> None:
    empty = reader()
    with pytest.raises(FrameRefused, match=r"the spine gold\.labels has no rows\n.*dbt build"):
        loaded(InMemoryFeatureReader(empty.joined.slice(0, 0), DECLARED, ENCODINGS, PLACES))


def test_unknown_excluded_feature_error_suggests_name() -> None:
    with pytest.raises(FeatureNotFound, match=r"no column 'ages'\. Did you mean 'age'"):
        load_frame(use_case({"table": "gold.people", "exclude": ["ages"]}), reader())


def test_a_feature_that_is_no_number_is_missing() -> None:
    with pytest.raises(FrameRefused, match="height in 1"):
        loaded(reader(height=[1.5, float("nan"), 2.0, 1.25]))


def test_a_feature_of_text_is_refused_by_name() -> None:
    with pytest.raises(FrameRefused, match="height"):
        loaded(reader(height=["a", "b", "c", "d"]))


@pytest.mark.parametrize(
    ("kind", "column", "what"), [("text", "note", "texts"), ("embedding", "note_embedding", "arrays")]
)
def test_texts_and_arrays_of_families_on_spark_are_refused(kind: str, column: str, what: str) -> None:
    rows = reader(**{column: ["good", "bad", "", "good"]})
    notes = replace(rows, declared={"gold.people": [column]}, encodings=[{"column": "note", "as": kind}])
    with pytest.raises(FrameRefused, match=f"families on Spark read no {what}, and these .* are {what}: {column}"):
        load_frame(use_case("gold.people"), notes, on_spark=OnSpark(keep_joined))


def test_a_row_without_a_time_is_refused() -> None:
    times = pa.array([None, START, START, START], pa.timestamp("us", "UTC"))
    with pytest.raises(FrameRefused, match="at in 1"):
        loaded(reader(at=times))


def test_a_feature_of_two_tables_is_refused() -> None:
    both = InMemoryFeatureReader(
        pa.Table.from_arrays(
            [*reader().joined.columns, pa.array([1.0] * 4)], names=[*reader().joined.column_names, "height"]
        ),
        DECLARED | {"gold.bodies": ["height"]},
    )
    with pytest.raises(FrameRefused, match=r"height.*gold\.people.*gold\.bodies"):
        load_frame(use_case("gold.people", "gold.bodies"), both)


def test_a_use_case_without_a_feature_is_refused() -> None:
    with pytest.raises(FrameRefused):
        load_frame(use_case({"table": "gold.people", "exclude": ["place_index", "age", "height"]}), reader())


def test_equal_rows_with_text_keys_have_equal_fingerprints() -> None:
    first, again = (loaded(reader(entity=[f"client {number}" for number in range(4)])) for _ in range(2))
    assert first.fingerprint() == again.fingerprint()


def test_rows_without_features_are_left_out_and_counted_if_declared() -> None:
    nothing: dict[str, list[Any]] = {
        "place_index": [1, None, 0, 7],
        "age": [30, None, 50, 41],
        "height": [1.5, None, 2.0, 1.25],
    }
    frame = load_frame(use_case({"table": "gold.people", "missing": "leave_out"}), reader(**nothing))
    assert (frame.keys.tolist(), frame.left_out) == ([1, 3, 4], {"gold.people": 1})
    expected = (
        r"place_index in 1, age in 1, height in 1\n  1 of 4 rows have no features in gold.people .*missing: lea"
    )
    with pytest.raises(FrameRefused, match=expected) as refused:
        loaded(reader(**nothing))
    assert "impute" not in str(refused.value)  # which would not help
    nothing["age"][0] = None
    with pytest.raises(FrameRefused, match=r"`missing: leave_out` for gold\.people .*\n  Give age a value"):
        loaded(reader(**nothing))


def test_a_row_with_only_some_values_missing_is_not_left_out() -> None:
    lacking = reader(age=[30, None, 50, 41])
    with pytest.raises(FrameRefused, match="age in 1"):
        load_frame(use_case({"table": "gold.people", "missing": "leave_out"}), lacking)


KEPT = [{"column": "age", "as": "number", "missing": "keep"}, *ENCODINGS[1:]]


def test_a_number_that_is_kept_missing_is_nan_in_both_matrices() -> None:
    store = replace(reader(age=[None, 17, 0, float("nan")]), encodings=KEPT)
    frame = loaded(store)
    assert frame.encoder.nullable_features == {"age"}
    for matrix in (frame.x.toarray()[:, 3], frame.inputs("dense")[:, 1]):
        np.testing.assert_array_equal(matrix, [np.nan, 17, 0, np.nan])
    other_nan = np.frombuffer(np.uint64(0x7FF8000000000001).tobytes(), np.float64)[0]
    again = loaded(replace(reader(age=[other_nan, 17, 0, None]), encodings=KEPT))
    assert frame.fingerprint() == again.fingerprint()
    assert frame.fingerprint() != loaded(replace(reader(age=[0, 17, 0, None]), encodings=KEPT)).fingerprint()


def test_a_kept_number_may_be_missing_but_not_infinite_and_not_without_a_row() -> None:
    with pytest.raises(FrameRefused, match=r"\(4 in all\): age in 1\n  Give age .*Infinite numbers are refused"):
        loaded(replace(reader(age=[float("inf"), None, 1.0, 2.0]), encodings=KEPT))
    nothing: dict[str, list[Any]] = {
        "place_index": [1, None, 0, 7],
        "age": [None, None, 5, 6],
        "height": [1, None, 2, 3],
    }
    store = replace(reader(**nothing), encodings=KEPT)
    with pytest.raises(
        FrameRefused, match=r"place_index in 1, age in 1, height in 1\n  1 of 4 rows have no features"
    ):
        loaded(store)
    frame = load_frame(use_case({"table": "gold.people", "missing": "leave_out"}), store)
    assert (frame.keys.tolist(), frame.left_out) == ([1, 3, 4], {"gold.people": 1})


def test_a_table_of_kept_numbers_alone_has_a_marker_for_its_rows() -> None:
    marked = pa.array([True, None, True, True])
    rows = reader(age=[None, None, 5, 6]).joined.append_column("_row_of_gold_people", marked)
    store = InMemoryFeatureReader(rows, {"gold.people": ["age"]}, KEPT[:1])
    with pytest.raises(FrameRefused, match=r"age in 1\n  1 of 4 rows have no features in gold\.people"):
        load_frame(use_case("gold.people"), store)
    frame = load_frame(use_case({"table": "gold.people", "missing": "leave_out"}), store)
    np.testing.assert_array_equal(frame.features["age"], [np.nan, 5, 6])
    assert list(frame.features) == ["age"]


def test_families_on_spark_are_refused_by_name_where_numbers_are_kept_missing() -> None:
    store = replace(reader(age=[None, 17, 1, 2]), encodings=KEPT)
    searched = with_search(use_case("gold.people"), {"families": ["lightgbm", "spark_random_forest"]})
    expected = "spark_random_forest takes no missing values, and `missing: keep` leaves them in age"
    with pytest.raises(FrameRefused, match=expected):
        load_frame(searched, store, on_spark=OnSpark(lambda *_: pytest.fail("the rows were kept")))


def test_a_spine_without_any_features_is_refused() -> None:
    nothing: dict[str, list[Any]] = dict.fromkeys(("place_index", "age", "height"), [None] * 4)
    with pytest.raises(FrameRefused, match=r"no row of the spine finds features in gold\.people"):
        load_frame(use_case({"table": "gold.people", "missing": "leave_out"}), reader(**nothing))


def test_an_entity_of_two_columns_joins_their_values() -> None:
    both = use_case("gold.people")
    both = both.model_copy(update={"labels": both.labels.model_copy(update={"entity": ("entity", "region")})})
    rows = reader(region=["de", "fr", "de", "it"])
    assert load_frame(both, rows).keys.tolist() == ["1|de", "2|fr", "3|de", "4|it"]


def of_task(task: str, **labels: Any) -> UseCase:
    """The use case with another task."""
    case = use_case("gold.people")
    return case.model_copy(update={"task": TASKS[task], "labels": case.labels.model_copy(update=labels)})


def test_multiclass_labels_are_class_indices() -> None:
    trees = reader(label=["elm", "oak", "ash", "elm"])
    frame = load_frame(of_task("multiclass", classes=("ash", "elm", "oak")), trees)
    assert (frame.y.tolist(), frame.classes) == ([1, 2, 0, 1], ("ash", "elm", "oak"))
    with pytest.raises(FrameRefused, match=r"labels are ash, elm, each of them.* \['ash', 'elm', 'oak'\]"):
        load_frame(of_task("multiclass", classes=("ash", "elm")), trees)


def test_labels_of_a_regression_are_finite_numbers() -> None:
    frame = load_frame(of_task("regression"), reader(label=[1.5, -2.0, 0.0, 4.0]))
    assert (frame.y.tolist(), frame.classes, frame.outcome) == ([1.5, -2.0, 0.0, 4.0], (), "mean 0.875")
    with pytest.raises(FrameRefused, match=r"labels of a regression are finite; .* has only 3 of 4"):
        load_frame(of_task("regression"), reader(label=[1.0, None, 0.0, 4.0]))
    with pytest.raises(FrameRefused, match=r"labels of a regression are numbers; .* has only string"):
        load_frame(of_task("regression"), reader(label=["1", "2", "3", "4"]))


def test_dense_rows_have_category_indices_with_zero_for_unknown() -> None:
    frame = loaded(reader())
    assert frame.inputs("dense").tolist() == [[1, 30, 1.5], [2, 17, 1.75], [0, 50, 2.0], [0, 41, 1.25]]
    assert frame.encoder.categories() == {0: 3}


def by_column(**split: Any) -> UseCase:
    declared = use_case("gold.people").model_dump(exclude_unset=True)
    return UseCase.model_validate({**declared, "split": {"by": "column", "column": "fold", **split}})


@pytest.mark.parametrize(
    ("values", "declared"),
    [
        pytest.param(["b", "a", "holdout", "a"], {}, id="text"),
        pytest.param([2, 1, -1, 1], {"holdout_value": -1}, id="integers"),
        pytest.param(pa.array(["2", "1", "0", "1"], pa.large_string()), {"holdout_value": 0}, id="large text"),
    ],
)
def test_a_fold_column_is_read_with_the_labels(values: Any, declared: dict[str, Any]) -> None:
    case = by_column(**declared)
    frame = load_frame(case, reader(fold=values))
    assert frame.columns == loaded(reader()).columns
    plan = case.split
    assert plan.kind.holdout(frame, plan).tolist() == [False, False, True, False]
    training = frame.rows(np.asarray([0, 1, 3]))
    assert [part.tolist() for fold in plan.kind.folds(training, plan, 0) for part in fold] == [
        [True, False, False],
        [False, True, True],
        [False, True, True],
        [True, False, False],
    ]


@pytest.mark.parametrize(
    ("values", "declared", "message"),
    [
        pytest.param([1, 2, None, 0], {}, r"gold\.labels\.fold is NULL in 1 of 4 rows\n", id="NULL"),
        pytest.param([1.0, 2.0, 3.0, 0.0], {}, r"is of type double\n.*Cast it", id="type"),
        pytest.param(
            [1, 2, 10, 0],
            {},
            r"no row with the value of the holdout, holdout; it has 0, 1, 10, 2\n.*holdout_value",
            id="value",
        ),
        pytest.param(
            [1, 1, 1, 0], {"holdout_value": 0}, r"has 1 fold beside the holdout: 0, 1\n  Two", id="one fold"
        ),
        pytest.param(
            [True, False, False, False],
            {"holdout_value": True},
            r"has 1 fold beside the holdout: false, true",
            id="truth",
        ),
        pytest.param([0, 0, 0, 0], {"holdout_value": 0}, r"has 0 folds beside the holdout: 0", id="holdout only"),
    ],
)
def test_an_unusable_fold_column_is_refused_by_name(values: Any, declared: dict[str, Any], message: str) -> None:
    with pytest.raises(FrameRefused, match=f"the fold column .*{message}"):
        load_frame(by_column(**declared), reader(fold=values))
