"""The page of a run: whole in one file, its numbers those of the run, honest about what failed."""

import re
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from scoring.scorer import Answering, Scorer
from tests.unit.frames import ENCODER, alternating, by_time
from tests.unit.points import POINTS
from tests.unit.report.pages import Page
from training.evaluation.metrics import METRICS, evaluate, metrics_of
from training.frame import splits
from training.frame.provenance import provenance
from training.frame.splits import Split
from training.models import FAMILIES
from training.report import publication
from training.report.champion_outcomes import Rival
from training.report.environment import Environment
from training.report.evidence import Evidence
from training.report.page import Block
from training.report.publication import ReportPart, make
from training.report.sections import search, slices
from training.search.blending import blend
from training.search.fitting import fit
from training.search.trial import Attempt, Trial, TrialSpec, run_trial
from training.space.joint_space import Candidate
from training.space.space import Params
from training.use_case.use_case import UseCase, load

PARAMS: Params = {
    "inverse_regularization": 0.5,
    "penalty": "l2",
    "numeric_shape": "as_is",
    "class_weight": None,
    "recency_half_life_days": None,
}
WINNER = Candidate("logistic_regression", PARAMS)
TERM_DEPOSIT = load("term_deposit")
SECTIONS = ["quality", "curves", "champion", "slices", "inputs", "search", "data"]


@pytest.fixture(scope="module")
def data() -> Split:
    return splits.split(alternating(900), by_time(holdout=0.25))


@pytest.fixture(scope="module")
def trials(data: Split) -> list[Trial]:
    folds = list(splits.folds(data.training, by_time(folds=2), 0))
    failed = Trial(1, Candidate("knn", {"n_neighbors": 3}), {}, (), timedelta(0), "ValueError: <b>no</b> & [/no]")
    tried = [replace_c(10.0 ** (-place % 4)) for place in range(13)]
    return [failed, *(run_trial(number, each, folds, 0, 0.5) for number, each in enumerate(tried, start=2))]


def replace_c(inverse_regularization: float) -> Candidate:
    return Candidate(WINNER.family, {**PARAMS, "inverse_regularization": inverse_regularization})


@pytest.fixture(scope="module")
def evidence(data: Split, trials: list[Trial]) -> Evidence:
    winner = max(trials[1:], key=lambda trial: (trial.metrics["roc_auc"], -trial.number))
    split = TERM_DEPOSIT.split.model_copy(update={"folds": 2})
    serving = TERM_DEPOSIT.serving.model_copy(update={"threshold": 0.5})
    return Evidence(
        use_case=TERM_DEPOSIT.model_copy(update={"split": split, "serving": serving}),
        trials=trials,
        winner=winner,
        scorer=Scorer(fit(winner.candidate, data.training, 0), ENCODER, Answering(("probability",), 0.5)),
        data=data,
        version="3",
        description="Says <what> it is.",
        provenance=provenance(data, by_time(), None),
        environment=Environment("abc123", "3.11", "Linux", ("numpy==2",)),
        rival=None,
    )


@pytest.fixture(scope="module")
def page(evidence: Evidence) -> str:
    report = make(evidence)
    assert report.failures == {}
    return report.page


@pytest.fixture(scope="module")
def read(page: str) -> Page:
    return Page(page)


def test_a_page_is_whole_and_loads_nothing(page: str, read: Page) -> None:
    assert page.lstrip().startswith("<!doctype html>")
    assert read.open == []
    assert read.anchors == SECTIONS
    assert len(set(read.ids)) == len(read.ids)
    assert all(target.startswith("#") and target[1:] in read.ids for target in read.loads)
    assert not re.findall(r"url\((?!#)|@import|https?://", page)
    assert len(page.encode()) < 1_500_000


def test_every_drawing_has_a_text_alternative(page: str, read: Page) -> None:
    assert page.count("<svg") > 20
    assert read.undescribed == 0


def test_texts_are_escaped(page: str) -> None:
    assert "Says &lt;what&gt; it is." in page
    assert "&lt;b&gt;no&lt;/b&gt;" in page
    assert "<b>no</b>" not in page


def test_the_same_run_twice_is_the_same_page(page: str, evidence: Evidence) -> None:
    assert make(replace(evidence)).page == page


def test_metrics_are_those_of_the_winning_trial_and_of_the_holdout(
    read: Page, evidence: Evidence, data: Split
) -> None:
    table = read.table("Metrics with")
    shown = {row[0]: row for row in table.rows}
    features = data.holdout.features
    holdout = evaluate("binary", data.holdout.y, evidence.scorer.predicted(features), 0.5)
    names = {"roc auc": "roc_auc", "average precision": "average_precision", "log loss": "log_loss"}
    assert len(shown) == len(metrics_of("binary"))
    for title, row in shown.items():
        name = names.get(title, title)
        assert float(row[1]) == pytest.approx(evidence.winner.metrics[name], abs=1e-12)
        assert float(row[4]) == pytest.approx(holdout[name], abs=1e-12)
        assert float(row[2]) <= float(row[1])


def test_the_leaderboard_has_every_trial_in_order_and_failed_ones_last(read: Page, trials: list[Trial]) -> None:
    table = read.table("Every trial")
    values = [row[table.heads.index("ROC AUC")] for row in table.rows]
    assert len(values) == len(trials)
    assert values[-1] == ""
    assert [float(value) for value in values[:-1]] == sorted((t.metrics["roc_auc"] for t in trials[1:]), reverse=True)
    assert table.rows[-1][table.heads.index("Status")] == "failed"
    assert "valueerror" in table.rows[-1][-1]


def test_confusion_counts_every_row_of_its_part(read: Page, evidence: Evidence, data: Split) -> None:
    said = evidence.scorer.predicted(data.holdout.features) >= 0.5
    rows = {(row[0], row[1]): [float(value) for value in row[2:5]] for row in read.table("Confusion").rows}
    for label in (0, 1):
        decided = said[data.holdout.y == label]
        assert rows["holdout", str(label)] == [(~decided).sum(), decided.sum(), len(decided)]
    assert rows["validation folds", "0"][2] + rows["validation folds", "1"][2] == len(evidence.validation)


def test_areas_are_told_by_the_curve(page: str, evidence: Evidence) -> None:
    areas = [roc_auc_score(rows.labels, rows.predicted) for rows in (evidence.validation, evidence.holdout)]
    assert f"Areas: validation folds {areas[0]:.4f}, holdout {areas[1]:.4f}." in page


def test_slices_are_the_rows_of_their_category(read: Page, evidence: Evidence) -> None:
    table = read.table("ROC AUC by category")
    places = np.concatenate([tried.fold.validate.features["place_index"] for tried in evidence.tried])
    names = ("unknown", "Aachen", "Bonn", "Celle")
    counts = {name.lower(): int((places == place).sum()) for place, name in enumerate(names)}
    judged = {row[1]: int(row[2]) for row in table.rows}
    assert judged == {name: count for name, count in counts.items() if count >= slices.FEWEST_ROWS}


def test_slices_too_small_are_named_and_not_judged(evidence: Evidence) -> None:
    few = Split(evidence.data.training.rows(np.arange(400)), evidence.data.holdout)
    report = make(replace(evidence, data=few))
    assert "Too small to judge (fewer than 200 rows, or 10 of a label): place unknown (" in report.page
    assert Page(report.page).table("ROC AUC by category").rows == []


def test_the_input_that_carries_the_label_leads_both_explanations(read: Page, evidence: Evidence) -> None:
    shuffled, added = read.table("Permutation importance"), read.table("Shapley values")
    assert [table.rows[0][0] for table in (shuffled, added)] == ["amount", "amount"]
    assert {row[0] for row in shuffled.rows} == {"amount", "place", "known"}
    assert float(shuffled.rows[0][1]) > 0.2


def test_lineage_says_tables_rows_commit_and_seed(read: Page, evidence: Evidence, data: Split) -> None:
    assert read.table("Tables that were read").rows == [["gold.t", "3"]]
    facts = read.table("Rows, code").column("Value")
    assert facts["commit"] == "abc123"
    assert facts["seed"] == str(TERM_DEPOSIT.search.seed)
    assert facts["sha-256 of the holdout"] == data.holdout.fingerprint()
    assert facts["trained on"].startswith(f"{len(data.training):,} rows")


def test_against_the_champion_both_stand_on_one_holdout(evidence: Evidence, data: Split) -> None:
    old = replace(evidence.holdout, predicted=np.linspace(0.1, 0.9, len(data.holdout)))
    report = make(replace(evidence, rival=Rival("2", old)))
    table = Page(report.page).table("Both versions")
    gain = float(table.column("Gain")["roc auc"])
    assert gain == pytest.approx(evidence.holdout.metric("roc_auc") - old.metric("roc_auc"))
    assert float(table.column("95 % interval")["roc auc"]) < gain
    assert float(table.column("Gain")["log loss"]) == pytest.approx(
        old.metric("log_loss") - evidence.holdout.metric("log_loss")
    )


def test_an_unfair_or_impossible_comparison_is_told(evidence: Evidence) -> None:
    report = make(replace(evidence, rival=Rival("2", None, "It could not be loaded: gone")))
    assert "Version 2: It could not be loaded: gone" in report.page
    assert "version 2 cannot be asked" in report.page
    unfair = make(replace(evidence, rival=Rival("2", evidence.holdout, "It has seen a part of this holdout.")))
    assert "not a fair comparison" in unfair.page


def test_a_part_that_fails_says_so_and_leaves_the_others(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(evidence: Evidence) -> list[Block]:
        raise ZeroDivisionError("no <rows>")

    monkeypatch.setattr(publication, "BEFORE", (ReportPart("quality", "How good it is", broken),))
    report = make(evidence)
    assert report.failures == {"How good it is": "ZeroDivisionError: no <rows>"}
    read = Page(report.page)
    assert read.anchors == SECTIONS
    assert "This part failed. ZeroDivisionError: no &lt;rows&gt;" in report.page


def test_random_folds_take_every_row_and_repeat_themselves(evidence: Evidence) -> None:
    first, again = (replace(evidence).on_random_folds for _ in range(2))
    seeded: UseCase = evidence.use_case.model_copy(
        update={"search": evidence.use_case.search.model_copy(update={"seed": 5})}
    )
    assert first == again != replace(evidence, use_case=seeded).on_random_folds
    assert 0.5 < first <= 1


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
def test_what_a_search_is_ranked_by_ranks_the_page(evidence: Evidence, metric: str) -> None:
    plan = evidence.use_case.search.model_copy(update={"metric": metric})
    report = make(replace(evidence, use_case=evidence.use_case.model_copy(update={"search": plan})))
    table = Page(report.page).table("Every trial")
    losses = [METRICS[metric].loss(float(row[3])) for row in table.rows if row[3]]
    assert report.failures == {}
    assert losses == sorted(losses)


def test_a_search_of_one_trial_has_a_page(evidence: Evidence, page: str) -> None:
    report = make(replace(evidence, trials=[evidence.winner]))
    assert report.failures == {}
    assert "cannot be told" in report.page
    assert "cannot be told" not in page


def test_a_blend_stands_on_each_fold_as_it_was_measured(evidence: Evidence, data: Split) -> None:
    cut = list(splits.folds(data.training, evidence.use_case.split, evidence.seed))
    attempt = Attempt(cut, evidence.seed, 0.5)
    families = ("knn", "random_forest", "gradient_boosting")
    trials = [
        attempt(TrialSpec(number, Candidate(name, dict(POINTS)[name]))) for number, name in enumerate(families, 1)
    ]
    winner = blend(trials, attempt, evidence.metric, evidence.use_case.search.blend)
    assert winner is not None
    scorer = replace(
        evidence.scorer, pipeline=fit(winner.candidate, data.training, evidence.seed), takes=FAMILIES["blend"].takes
    )
    of_blend = replace(evidence, winner=winner, trials=[*trials, winner], scorer=scorer)
    for name, interval in of_blend.fold_metrics.items():
        assert interval.value == pytest.approx(winner.metrics[name], abs=1e-12)
        assert np.mean([tried.outcomes.metric(name) for tried in of_blend.tried]) == winner.metrics[name]


def test_one_fold_is_one_fold(evidence: Evidence) -> None:
    plan = evidence.use_case.split.model_copy(update={"folds": 1})
    page = make(replace(evidence, use_case=evidence.use_case.model_copy(update={"split": plan}))).page
    assert "rows of 1 fold in order of time" in page
    assert "1 folds" not in page


def test_of_inputs_that_may_be_left_out_those_that_are_stand_in_the_leaderboard_and_few_axes_are_drawn(
    evidence: Evidence, trials: list[Trial]
) -> None:
    names = [f"without.c{place}" for place in range(9)]

    def wider(trial: Trial) -> Trial:
        flags = {name: (trial.number >> place % 4) % 2 == 1 for place, name in enumerate(names)}
        return replace(trial, candidate=Candidate(trial.candidate.family, {**trial.candidate.params, **flags}))

    many = [wider(trial) for trial in trials]
    drawn = "\n".join(map(str, search.blocks(replace(evidence, trials=many))))
    assert "without.c0 False" not in drawn
    assert "without c0" in drawn
    assert drawn.count('class="axis middle"') <= 2 * (search.MOST_AXES + 1)
    assert "3 hyperparameters of the smallest shares are not drawn." in drawn
    few = "\n".join(map(str, search.blocks(evidence)))
    assert "are not drawn" not in few


def test_a_winner_that_was_fitted_on_the_folds_is_not_fitted_again(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = evidence.tried
    monkeypatch.setattr("training.report.evidence.fit", None)
    again = replace(evidence, apart=[each.scorer.pipeline for each in before]).tried
    for first, second in zip(before, again, strict=True):
        np.testing.assert_array_equal(first.outcomes.predicted, second.outcomes.predicted)
