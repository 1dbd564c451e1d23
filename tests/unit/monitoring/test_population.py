"""The population of a version: made from frames, written, read, and counted like live traffic."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS
from scoring.hooks import Hooks
from scoring.hooks.fields import fields_of
from scoring.hooks.hook import Hook
from scoring.scorer import ResponseFormat, Scorer
from scoring.tasks import MULTICLASS, REGRESSION
from tests.unit.frames import alternating
from training.frame.frame import TrainingFrame
from training.frame.splits import Split
from training.population.bins import CategoryBins, NumberBins
from training.population.build import SliceUnknown, population_of, require_slices, sliceable
from training.population.placement import number_bins
from training.population.population import Population
from training.use_case.monitoring import MonitoringPlan

ENCODER = Encoder(
    ENCODINGS.validate_python(
        [
            {"column": "age", "as": "number", "impute": 40},
            {"column": "age", "as": "cohort", "bounds": [30, 60]},
            {"column": "job", "as": "one_hot", "categories": ["clerk", "nurse"]},
            {"column": "owner", "as": "flag"},
            {"column": "place", "as": "category_index", "index": "gold.place_index"},
            {"column": "rank", "as": "ordinal", "categories": ["low", "high"], "impute": "low"},
        ]
    ),
    {"gold.place_index": ("", *(f"p{number}" for number in range(200)))},
    (
        "age", "age_is_missing", "age_cohort", "job_clerk", "job_nurse", "owner", "place_index", "rank_level",
        "rank_is_missing",
    ),
)  # fmt: skip
RECORDS: list[dict[str, Any]] = [
    {"age": 20 + number % 50, "job": ("clerk", "nurse", None)[number % 3], "owner": number % 4 == 0,
     "place": f"p{number % 100}", "rank": ("low", "high")[number % 2]}
    for number in range(600)
]  # fmt: skip
RECORDS[0] |= {"age": None, "rank": None, "place": None}


def split_of(encoder: Encoder = ENCODER) -> tuple[Split, np.ndarray]:
    base = alternating(len(RECORDS))
    frame = replace(base, features=encoder.features_of(RECORDS), encoder=encoder)
    holdout, training = np.arange(400), np.arange(400, 600)
    rows: TrainingFrame = frame
    split = Split(_rows(rows, training), _rows(rows, holdout))
    return split, np.linspace(0.01, 0.99, 400)


def _rows(frame: TrainingFrame, chosen: Any) -> TrainingFrame:
    return replace(
        frame,
        features={name: values[chosen] for name, values in frame.features.items()},
        y=frame.y[chosen],
        times=frame.times[chosen],
        keys=frame.keys[chosen],
        x=frame.x[chosen],
    )


def scorer(response: ResponseFormat | None = None) -> Scorer:
    return Scorer(None, ENCODER, response or ResponseFormat(("label", "probability"), 0.3))


def build(**plan: Any) -> Population:
    data, predicted = split_of()
    return population_of(scorer(), data, predicted, MonitoringPlan(**plan))


def test_every_input_has_the_counts_of_the_holdouts_raw_records() -> None:
    found = build()
    assert list(found.inputs) == ["age", "job", "owner", "place", "rank"]
    for name, column in found.inputs.items():
        indices, outside = column.bins.index([record[name] for record in RECORDS[:400]])
        expected = np.bincount(indices[indices >= 0], minlength=column.bins.size)
        assert np.array_equal(column.counts[: column.bins.size], expected), name
        assert column.counts[column.bins.size] == sum(record[name] is None for record in RECORDS[:400]), name
        assert not outside.any()


def test_many_categories_share_a_bin_and_all_of_them_are_known() -> None:
    bins = build().inputs["place"].bins
    assert isinstance(bins, CategoryBins)
    assert (bins.size, len(bins.values)) == (51, 200)
    assert bins.index(["p199", "nowhere"])[0].tolist() == [50, -2]
    assert bins.labels()[-1] == "150 others"


def test_predictions_and_labels_are_those_of_the_holdout_and_the_threshold_is_an_edge() -> None:
    found = build()
    assert found.prediction is not None
    assert isinstance(found.prediction.bins, NumberBins)
    assert found.outcomes.sum(axis=1).tolist() == [200, 200]
    assert 0.3 in found.prediction.bins.edges


def test_the_file_gives_the_same_population() -> None:
    found = build(slices=["job", "age_cohort"])
    read = Population.from_json(found.to_json())
    assert read.inputs["age"].bins == found.inputs["age"].bins
    assert (
        read.inputs["owner"].bins.index([True, False])[0].tolist()
        == found.inputs["owner"].bins.index([True, False])[0].tolist()
    )
    assert np.array_equal(read.outcomes, found.outcomes)
    assert np.array_equal(read.slices["age_cohort"].inputs["job"], found.slices["age_cohort"].inputs["job"])
    assert read.to_json() == found.to_json()


def test_slices_divide_the_reference_rows() -> None:
    found = build(slices=["job", "age_cohort"])
    assert found.slices["age_cohort"].column == "age"
    assert found.slices["age_cohort"].bins.index([29, 30, 60, None])[0].tolist() == [0, 1, 2, -1]
    whole = found.inputs["owner"].counts
    missing_age = 1
    assert found.slices["age_cohort"].inputs["owner"].sum() == whole.sum() - missing_age
    assert found.slices["job"].inputs["age"].sum(axis=1).min() > 100


def test_the_reference_may_be_the_training_rows() -> None:
    found = build(reference="training", slices=["owner"])
    assert found.inputs["age"].counts.sum() == 200
    assert found.slices["owner"].prediction is None
    assert found.outcomes.sum() == 400


def test_an_unknown_slice_is_refused_before_a_search() -> None:
    assert sliceable(ENCODER) == ["age_cohort", "job", "owner", "rank"]
    require_slices(MonitoringPlan(slices=("job",)), ENCODER)
    with pytest.raises(SliceUnknown, match="'age', which divides no rows"):
        require_slices(MonitoringPlan(slices=("age",)), ENCODER)


def test_numbers_and_several_classes_have_outcomes_too() -> None:
    data, predicted = split_of()
    numbers = population_of(
        scorer(ResponseFormat(("value",), 0.5, REGRESSION, ())), data, predicted, MonitoringPlan()
    )
    error = predicted - data.holdout.y
    assert numbers.outcomes[:3] == pytest.approx([400, np.abs(error).sum(), (error**2).sum()])
    three = ResponseFormat(("label", "probability"), 0.5, MULTICLASS, ("a", "b", "c"))
    probabilities = np.stack([predicted, 1 - predicted, np.zeros(400)], axis=1)
    classes = population_of(scorer(three), data, probabilities, MonitoringPlan())
    assert classes.response_field == "label"
    assert classes.outcomes.shape == (3, 3)
    assert classes.outcomes.sum() == 400


HOOKS = """
def as_percentage(response, record):
    return {**response, "probability": 100 * response["probability"]}

def as_words(response, record):
    return {"verdict": "yes" if response["label"] else "no"}

def in_years(record):
    return {**record, "age": record["age"] // 12}

def with_a_word(response, record):
    return {**response, **as_words(response, record)}
"""


def answering(postprocess: str) -> Scorer:
    response = ResponseFormat(("label", "probability"), 0.3)
    hook = Hook.of_source(f"hooks:{postprocess}", HOOKS)
    fields = fields_of(hook(0, response.samples()[0], RECORDS[1]))
    return Scorer(None, ENCODER, response, Hooks(postprocess=hook, response_fields=fields))


@pytest.mark.parametrize(
    ("postprocess", "field"), [("with_a_word", "probability"), ("as_percentage", "label"), ("as_words", "")]
)
def test_a_field_that_a_hook_changes_is_not_monitored_since_its_reference_is_not_known(
    postprocess: str, field: str
) -> None:
    data, predicted = split_of()
    found = population_of(answering(postprocess), data, predicted, MonitoringPlan(), RECORDS[1])
    assert found.response_field == field
    assert (found.prediction is None) is (not field)


def test_an_input_that_a_hook_reads_in_other_units_is_not_monitored() -> None:
    data, predicted = split_of()
    months = RECORDS[1] | {"age": 12 * RECORDS[1]["age"]}
    hooks = Hooks(Hook.of_source("hooks:in_years", HOOKS), request_fields=fields_of(months))
    changing = replace(scorer(), hooks=hooks)
    found = population_of(changing, data, predicted, MonitoringPlan(slices=("age_cohort", "job")), months)
    assert set(found.inputs) == set(found.training) == {"job", "owner", "place", "rank"}
    assert set(found.slices) == {"job"}


@pytest.mark.parametrize("values", [[3.0], [1.0, 1.0], [0.0, 1.0], [1e15, 1e15 + 1], list(range(10))])
def test_few_distinct_numbers_have_a_bin_each(values: list[float]) -> None:
    bins = number_bins(np.asarray(values))
    assert bins.discrete
    assert len(set(bins.index(values)[0].tolist())) == len(set(values))
    assert set(bins.centres[: len(set(values))]) == set(values)
