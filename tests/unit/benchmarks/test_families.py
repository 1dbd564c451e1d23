"""The comparisons of families: their rows, paired gains, blends, and the rows that their peer is validated on."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.families.entry import Contest, Entry, blended, default_of, entry, table
from benchmarks.families.networks import newest, peers, requests_of
from benchmarks.families.realmlp import table_of, validation_rows
from benchmarks.families.texts import READINGS
from benchmarks.families.texts import requests_of as text_requests
from scoring.predictions import weighted_average
from scoring.scorer import ResponseFormat
from tests.unit.frames import ENCODER, alternating, by_time
from training.frame.splits import folds, split
from training.models import FAMILIES
from training.search.blending import BlendRefused, MemberPredictions, WeightSelector

ANSWER = ResponseFormat(("probability",), 0.5)
REQUEST = {"amount": 1.0, "place": "Bonn", "known": 3}


@pytest.fixture(scope="module")
def contest() -> Contest:
    """Rows of which one feature carries the label; their holdout is the last part."""
    parts = split(alternating(300), by_time(holdout=0.3))
    in_folds = list(folds(parts.training, by_time(folds=2), 0))
    return Contest(parts.training, parts.holdout, "roc_auc", ANSWER, [REQUEST], in_folds)


@pytest.fixture(scope="module")
def entries(contest: Contest) -> list[Entry]:
    """Two fitted families."""
    return [
        entry("linear", default_of("logistic_regression"), contest),
        entry("trees", default_of("lightgbm", min_child_samples=10), contest),
    ]


def test_an_entry_has_predictions_of_holdout_and_folds_and_its_times(entries: list[Entry], contest: Contest) -> None:
    for each in entries:
        assert len(each.holdout) == len(contest.holdout)
        assert [len(part) for part in each.parts] == [len(fold.validate) for fold in contest.parts]
        assert each.seconds > 0 and each.microseconds is not None and each.microseconds > 0
    assert [each.form for each in entries] == ["linear", "onnx"]


def uncertain(each: Entry, contest: Contest, seed: int, noise: float) -> Entry:
    """The entry with other predictions of the folds: the labels with noise of its own."""
    draw = np.random.default_rng(seed)
    sums = [part.validate.y + draw.normal(0, noise, len(part.validate)) for part in contest.parts]
    return replace(each, parts=[1 / (1 + np.exp(-values)) for values in sums])


def test_a_blend_is_that_of_a_search_and_its_fit_those_of_its_members(entries: list[Entry], contest: Contest) -> None:
    linear, trees = (uncertain(each, contest, seed, 1.0) for seed, each in enumerate(entries))
    both = blended("both", [linear, trees], contest)
    weights = [float(word) for word in both.name.removeprefix("both: ").split() if word[0].isdigit()]
    assert both.name == f"both: {weights[0]:.2f} {linear.name}, {weights[1]:.2f} {trees.name}"
    assert min(weights) > 0.2 and both.form == "blend of linear, onnx"
    np.testing.assert_allclose(both.holdout, weights[0] * linear.holdout + weights[1] * trees.holdout, atol=0.01)
    selector = WeightSelector(contest.training.task, contest.metric, 0.5)
    folds = [
        MemberPredictions(part.validate.y, [linear.parts[at], trees.parts[at]])
        for at, part in enumerate(contest.parts)
    ]
    of_other_fold = selector.weights(folds[1:], 2)
    assert both.parts[0].tolist() == weighted_average(folds[0].predicted, of_other_fold).tolist()
    assert both.seconds == linear.seconds + trees.seconds


def test_no_blend_where_one_entry_alone_is_better(entries: list[Entry], contest: Contest) -> None:
    good, bad = uncertain(entries[0], contest, 0, 0.01), uncertain(entries[1], contest, 1, 9.0)
    with pytest.raises(BlendRefused, match="one alone is better on the folds"):
        blended("both", [good, bad], contest)


def test_gains_are_paired_and_the_reference_has_none(entries: list[Entry], contest: Contest) -> None:
    linear, trees = entries
    perfect = replace(trees, name="perfect", holdout=contest.holdout.y.astype(np.float64), parts=())
    same = replace(linear, name="same", microseconds=None)
    header, rows = table(contest, [linear, same, perfect], "linear")
    by_name = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert by_name["linear"]["gain over linear"] == ""
    assert by_name["same"]["gain over linear"] == "+0.000 (+0.000 to +0.000)"
    assert by_name["same"]["p50, us"] == ""
    assert by_name["perfect"]["holdout"] == "1.000 (1.000 to 1.000)"
    assert by_name["perfect"]["gain over linear"].startswith("+0.")
    assert by_name["perfect"]["folds"] == ""
    assert by_name["linear"]["folds"].startswith("0.")


def test_newest_rows_are_the_last_in_time_and_all_of_them_if_there_are_fewer() -> None:
    rows = alternating(40)
    assert newest(rows, 10).times.tolist() == rows.times[30:].tolist()
    assert len(newest(rows, 100)) == 40


def test_requests_are_whole_rows_of_a_set_and_different_texts_of_the_holdout(contest: Contest) -> None:
    test = pd.DataFrame({"size": [1, 2, 3], "kind": ["a", None, "b"], "target": [0, 1, 0]})
    assert requests_of(test) == [{"size": 1.0, "kind": "a"}, {"size": 3.0, "kind": "b"}]
    texts = np.asarray(["good", "bad", "good"], dtype=object)
    reviewed = replace(contest, holdout=replace(contest.holdout, features={"review": texts}))
    assert [each["review"] for each in text_requests(reviewed)] == ["good", "bad"]


def test_the_peer_reads_categories_as_texts_and_is_validated_on_the_rows_that_stop_our_networks() -> None:
    rows = alternating(100)
    read = table_of(rows, rows)
    assert list(read) == list(ENCODER.number_features)
    assert pd.api.types.is_numeric_dtype(read["amount"]) and set(read["place_index"]) <= {"0", "1", "2", "3"}
    assert validation_rows(rows, 0).tolist() == list(range(85, 100))
    drawn = validation_rows(replace(rows, in_time=False), 0)
    assert len(drawn) in {15, 16} and drawn.tolist() != list(range(85, 100))


def test_a_number_that_the_peer_would_refuse_is_the_median_of_training_with_a_flag() -> None:
    rows = alternating(100)
    amounts = rows.features["amount"].copy()
    amounts[:10] = np.nan
    training = replace(rows, features={**rows.features, "amount": amounts})
    read = table_of(rows.rows(np.arange(5)), training)
    assert read["amount"].tolist() == rows.features["amount"][:5].tolist()
    assert read["missingindicator_amount"].tolist() == [0.0] * 5
    filled = table_of(training, training)
    assert filled["amount"][:10].tolist() == [np.median(amounts[10:])] * 10
    assert filled["missingindicator_amount"].tolist() == [1.0] * 10 + [0.0] * 90


def test_a_peer_that_fails_is_left_out_with_its_reason(
    contest: Contest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "peer.py"
    script.write_text("raise ValueError('NaN values are not allowed')", encoding="utf-8")
    monkeypatch.setattr("benchmarks.families.realmlp.SCRIPT", script)
    monkeypatch.setattr("benchmarks.families.realmlp._python", lambda: Path(sys.executable))
    assert peers(contest) == []
    printed = " ".join(capsys.readouterr().out.split())
    assert "skipped: " in printed and "NaN values are not allowed" in printed


def test_every_way_to_read_a_text_is_a_point_of_its_family() -> None:
    for reading in READINGS.values():
        params = {name for name in reading.candidate.params if not name.startswith("without.")}
        assert params <= {*FAMILIES[reading.family].space, *FAMILIES[reading.family].optional}
