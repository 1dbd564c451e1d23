"""The page of a run: self-contained, with the numbers of the run and the errors of failed sections."""

import re
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from scoring.scorer import ResponseFormat, Scorer
from scoring.tasks import BINARY
from tests.unit.frames import ENCODER, alternating, by_time
from tests.unit.points import POINTS
from tests.unit.report.pages import Page
from training.budget import Budget
from training.evaluation.metrics import METRICS, evaluate, metrics_of
from training.frame import splits
from training.frame.provenance import provenance
from training.frame.splits import Split
from training.models import FAMILIES
from training.report import publication
from training.report.champion_outcomes import ChampionOutcomes
from training.report.environment import Environment
from training.report.evidence import Evidence
from training.report.page import Block
from training.report.publication import render_report
from training.report.sections import search, slices
from training.report.tasks import ReportSection
from training.search.blending import blend
from training.search.fitting import fit
from training.search.stacking import stack, with_out_of_fold
from training.search.trial import BASELINE, Attempt, Trial, TrialSpec, run_trial
from training.space.joint_space import Candidate
from training.space.space import Params
from training.use_case.split import SplitPlan
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
SECTIONS = ["quality", "curves", "champion", "slices", "inputs", "search", "profile", "data"]


@pytest.fixture(scope="module")
def data() -> Split:
    return splits.split(alternating(900), by_time(holdout=0.25))


@pytest.fixture(scope="module")
def trials(data: Split) -> list[Trial]:
    folds = list(splits.folds(data.training, by_time(folds=2), 0))
    failed = Trial(1, Candidate("knn", {"n_neighbors": 3}), {}, (), timedelta(0), "ValueError: <b>no</b> & [/no]")
    tried = [with_regularization(10.0 ** (-place % 4)) for place in range(13)]
    return [failed, *(run_trial(number, each, folds, 0, 0.5) for number, each in enumerate(tried, start=2))]


def with_regularization(inverse_regularization: float) -> Candidate:
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
        scorer=Scorer(fit(winner.candidate, data.training, 0), ENCODER, ResponseFormat(("probability",), 0.5)),
        data=data,
        version="3",
        description="Model: <kNN> & co\nData: gold.t v3",
        provenance=provenance(data, by_time(), None),
        environment=Environment("abc123", "3.11", "Linux", ("numpy==2",)),
        champion=None,
    )


@pytest.fixture(scope="module")
def page(evidence: Evidence) -> str:
    report = render_report(evidence)
    assert report.failures == {}
    return report.page


@pytest.fixture(scope="module")
def read(page: str) -> Page:
    return Page(page)


def test_page_is_self_contained(page: str, read: Page) -> None:
    assert page.lstrip().startswith("<!doctype html>")
    assert read.open == []
    assert read.anchors == SECTIONS
    assert len(set(read.ids)) == len(read.ids)
    assert all(target.startswith("#") and target[1:] in read.ids for target in read.loads)
    assert not re.findall(r"url\((?!#)|@import|https?://", page)
    assert len(page.encode()) < 1_500_000


def test_drawings_have_text_alternatives(page: str, read: Page) -> None:
    assert page.count("<svg") > 20
    assert read.undescribed == 0


def test_no_drawing_is_cut_on_a_small_screen_and_no_table_scrolls_inside_the_page(page: str) -> None:
    for title in ("Trials in order", "Contributions to single predictions"):
        figure = page.partition(f"<h3>{title}</h3>")[2].partition("</figure>")[0]
        wide, narrow = figure.split('<div class="narrow">')
        assert 'class="scroll broad"' in wide
        assert 'viewBox="0 0 960' in wide
        assert 'viewBox="0 0 380' in narrow
    assert "max-height" not in page


def test_text_is_escaped(page: str) -> None:
    assert "<dt>Model</dt><dd>&lt;kNN&gt; &amp; co</dd>" in page
    assert "&lt;b&gt;no&lt;/b&gt;" in page
    assert "<b>no</b>" not in page


def test_page_is_reproducible(page: str, evidence: Evidence) -> None:
    assert render_report(replace(evidence)).page == page


def test_metrics_match_the_winning_trial_and_the_holdout(read: Page, evidence: Evidence, data: Split) -> None:
    table = read.table("Metrics with bootstrap")
    shown = {row[0]: row for row in table.rows}
    features = data.holdout.features
    holdout = evaluate(BINARY, data.holdout.y, evidence.scorer.predict(features), 0.5)
    names = {"roc auc": "roc_auc", "average precision": "average_precision", "log loss": "log_loss"}
    assert len(shown) == len(metrics_of(BINARY))
    for title, row in shown.items():
        name = names.get(title, title)
        assert float(row[1]) == pytest.approx(evidence.winner.metrics[name], abs=1e-12)
        assert float(row[5]) == pytest.approx(holdout[name], abs=1e-12)
        assert float(row[2]) <= float(row[1])
    assert [head for head in table.heads if head == "Baseline"] == ["Baseline", "Baseline"]
    ones = float(data.holdout.y.mean())
    baselines = {title: row[7] for title, row in shown.items()}
    assert float(baselines["accuracy"]) == pytest.approx(max(ones, 1 - ones))
    assert float(baselines["roc auc"]) == 0.5


def test_leaderboard_ranks_all_trials_with_failed_ones_last(read: Page, trials: list[Trial]) -> None:
    table = read.table("All trials")
    values = [row[table.heads.index("ROC AUC")] for row in table.rows]
    assert len(values) == len(trials)
    assert values[-1] == ""
    assert [float(value) for value in values[:-1]] == sorted((t.metrics["roc_auc"] for t in trials[1:]), reverse=True)
    assert table.rows[-1][table.heads.index("Status")] == "failed"
    assert "valueerror" in table.rows[-1][-1]


def test_confusion_matrix_counts_all_rows(read: Page, evidence: Evidence, data: Split) -> None:
    decision = evidence.scorer.predict(data.holdout.features) >= 0.5
    rows = {(row[0], row[1]): [float(value) for value in row[2:5]] for row in read.table("Confusion matrix").rows}
    for label in (0, 1):
        decided = decision[data.holdout.y == label]
        assert rows["holdout", str(label)] == [(~decided).sum(), decided.sum(), len(decided)]
    assert rows["validation folds", "0"][2] + rows["validation folds", "1"][2] == len(evidence.validation)


def test_roc_figure_names_the_areas(page: str, evidence: Evidence) -> None:
    areas = [roc_auc_score(rows.labels, rows.predicted) for rows in (evidence.validation, evidence.holdout)]
    assert f"Areas: validation folds {areas[0]:.4f}, holdout {areas[1]:.4f}." in page


def test_slices_contain_the_rows_of_their_category(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "MIN_ROWS", 50)
    table = Page(render_report(evidence).page).table("ROC AUC by category")
    places = np.concatenate([result.fold.validate.features["place_index"] for result in evidence.fold_results])
    names = ("unknown", "Aachen", "Bonn", "Celle")
    counts = {name.lower(): int((places == place).sum()) for place, name in enumerate(names)}
    judged = {row[1]: int(row[2]) for row in table.rows}
    assert judged == {name: count for name, count in counts.items() if count >= slices.MIN_ROWS}
    assert len(judged) > 1


def test_small_slices_are_listed_but_not_evaluated(evidence: Evidence) -> None:
    few = Split(evidence.data.training.rows(np.arange(400)), evidence.data.holdout)
    report = render_report(replace(evidence, data=few))
    assert "Too small to evaluate (fewer than 200 rows, or 10 of a label): place unknown (" in report.page
    assert "ROC AUC by category" not in report.page


def test_most_informative_input_leads_both_importance_tables(read: Page, evidence: Evidence) -> None:
    shuffled, added = read.table("Permutation importance"), read.table("Shapley values")
    assert [table.rows[0][0] for table in (shuffled, added)] == ["amount", "amount"]
    assert {row[0] for row in shuffled.rows} == {"amount", "place", "known"}
    assert float(shuffled.rows[0][1]) > 0.2


def test_lineage_lists_tables_rows_commit_and_seed(read: Page, evidence: Evidence, data: Split) -> None:
    assert read.table("Input tables").rows == [["gold.t", "3"]]
    facts = read.table("Rows, code").column("Value")
    assert facts["commit"] == "abc123"
    assert facts["seed"] == str(TERM_DEPOSIT.search.seed)
    assert facts["sha-256 of the holdout"] == data.holdout.fingerprint()
    assert facts["trained on"].startswith(f"{len(data.training):,} rows")


def headline(page: str) -> str:
    found = re.findall(r'<p class="headline">(.*)</p>', page)
    assert len(found) == 1
    return str(found[0])


def test_page_opens_with_the_headline(page: str, evidence: Evidence) -> None:
    auc = evidence.holdout_metrics["roc_auc"]
    start = f"Logistic regression, version 3: ROC AUC {auc.value:.4f} ({auc.low:.4f} to {auc.high:.4f})"
    beaten = f"beats the baseline on the holdout ({auc.value:.4f} vs 0.5000)"
    assert headline(page) == f"{start} on {len(evidence.holdout):,} holdout rows; {beaten}"
    assert page.index('class="headline"') < page.index('class="facts"') < page.index("<nav")


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "beats the baseline on the folds ("), (1.0, "does not beat the baseline")]
)
def test_headline_compares_with_the_baseline(evidence: Evidence, value: float, text: str) -> None:
    metrics = {"roc_auc": value}
    baseline = Trial(BASELINE, Candidate("dummy", {}), metrics, (metrics,), timedelta(0))
    page = render_report(replace(evidence, trials=[baseline, *evidence.trials])).page
    assert text in headline(page)
    assert f"({evidence.winner.metrics['roc_auc']:.4f} vs {value:.4f})" in headline(page)


def test_headline_compares_with_the_champion(evidence: Evidence) -> None:
    worse = replace(evidence.holdout, predicted=1 - evidence.holdout.predicted)
    page = render_report(replace(evidence, champion=ChampionOutcomes("2", worse))).page
    assert "; better than champion version 2 (+" in headline(page)
    same = render_report(replace(evidence, champion=ChampionOutcomes("2", evidence.holdout))).page
    assert "; not better than champion version 2 (+0.0000, +0.0000 to +0.0000)" in headline(same)


def test_both_versions_are_compared_on_the_same_holdout(evidence: Evidence, data: Split) -> None:
    old = replace(evidence.holdout, predicted=np.linspace(0.1, 0.9, len(data.holdout)))
    report = render_report(replace(evidence, champion=ChampionOutcomes("2", old)))
    table = Page(report.page).table("Both versions")
    gain = float(table.column("Gain")["roc auc"])
    assert gain == pytest.approx(evidence.holdout.metric("roc_auc") - old.metric("roc_auc"))
    assert float(table.column("95 % interval")["roc auc"]) < gain
    assert float(table.column("Gain")["log loss"]) == pytest.approx(
        old.metric("log_loss") - evidence.holdout.metric("log_loss")
    )


def test_page_warns_of_an_unfair_or_impossible_comparison(evidence: Evidence) -> None:
    report = render_report(replace(evidence, champion=ChampionOutcomes("2", None, "it could not be loaded: gone")))
    assert "The champion cannot be compared. Version 2: it could not be loaded: gone." in report.page
    assert "version 2 cannot be compared" in report.page
    assert "champion version 2" not in headline(report.page)
    unfair = render_report(
        replace(evidence, champion=ChampionOutcomes("2", evidence.holdout, "it may have seen a part of this holdout"))
    )
    assert "not a fair comparison" in unfair.page
    assert headline(unfair.page).endswith("; not a fair comparison)")


def test_a_failed_section_shows_its_error_and_keeps_the_others(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(evidence: Evidence) -> list[Block]:
        raise ZeroDivisionError("no <rows>")

    monkeypatch.setattr(publication, "SECTIONS_BEFORE_TASK", (ReportSection("quality", "Performance", broken),))
    report = render_report(evidence)
    assert report.failures == {"Performance": "ZeroDivisionError: no <rows>"}
    read = Page(report.page)
    assert read.anchors == SECTIONS
    assert "This section failed. ZeroDivisionError: no &lt;rows&gt;" in report.page


def test_random_folds_depend_only_on_the_seed(evidence: Evidence) -> None:
    first, again = (replace(evidence).random_folds_metric for _ in range(2))
    seeded: UseCase = evidence.use_case.model_copy(
        update={"search": evidence.use_case.search.model_copy(update={"seed": 5})}
    )
    assert first == again != replace(evidence, use_case=seeded).random_folds_metric
    assert 0.5 < first <= 1


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
def test_search_metric_ranks_the_leaderboard(evidence: Evidence, metric: str) -> None:
    plan = evidence.use_case.search.model_copy(update={"metric": metric})
    report = render_report(replace(evidence, use_case=evidence.use_case.model_copy(update={"search": plan})))
    table = Page(report.page).table("All trials")
    losses = [METRICS[metric].loss(float(row[3])) for row in table.rows if row[3]]
    assert report.failures == {}
    assert losses == sorted(losses)


def test_page_of_a_single_trial(evidence: Evidence, page: str) -> None:
    report = render_report(replace(evidence, trials=[evidence.winner]))
    assert report.failures == {}
    assert "No importance of hyperparameters" in report.page
    assert "No importance of hyperparameters" not in page


def test_blend_is_measured_per_fold_as_in_its_trial(evidence: Evidence, data: Split) -> None:
    cut = list(splits.folds(data.training, evidence.use_case.split, evidence.seed))
    attempt = Attempt(cut, evidence.seed, 0.5)
    families = ("knn", "random_forest", "gradient_boosting")
    trials = [
        attempt(TrialSpec(number, Candidate(name, dict(POINTS)[name]))) for number, name in enumerate(families, 1)
    ]
    winner = blend(trials, attempt, evidence.metric, evidence.use_case.search.blend)
    assert winner is not None
    scorer = replace(
        evidence.scorer,
        pipeline=fit(winner.candidate, data.training, evidence.seed),
        matrix_format=FAMILIES["blend"].matrix_format,
    )
    of_blend = replace(evidence, winner=winner, trials=[*trials, winner], scorer=scorer)
    for name, interval in of_blend.fold_metrics.items():
        assert interval.value == pytest.approx(winner.metrics[name], abs=1e-12)
        assert np.mean([result.outcomes.metric(name) for result in of_blend.fold_results]) == winner.metrics[name]


@pytest.mark.parametrize("kept", [True, False], ids=["kept predictions", "fitted again"])
def test_a_stack_is_measured_per_fold_as_in_its_trial_and_shown(evidence: Evidence, data: Split, kept: bool) -> None:
    split, training = SplitPlan(by="group", folds=3), replace(data.training, in_time=False)
    attempt = Attempt(list(splits.folds(training, split, evidence.seed)), evidence.seed, 0.5)
    trials = [
        attempt(TrialSpec(number, Candidate(name, dict(POINTS)[name])))
        for number, name in enumerate(("knn", "random_forest", "lightgbm"), 1)
    ]
    found = stack(trials, training, split, attempt, evidence.metric, 1)
    training = with_out_of_fold(training, split, evidence.seed, found.bases)
    winner = found.stacks[0] if kept else replace(found.stacks[0], predictions=None)
    pipeline = fit(winner.candidate, training, evidence.seed)
    of_stack = replace(
        evidence,
        use_case=evidence.use_case.model_copy(update={"split": split}),
        winner=winner,
        trials=[*trials, winner],
        scorer=replace(evidence.scorer, pipeline=pipeline, matrix_format=FAMILIES["stack"].matrix_format),
        data=replace(data, training=training),
    )
    for name, interval in of_stack.fold_metrics.items():
        assert interval.value == pytest.approx(winner.metrics[name], abs=1e-12)
    page = render_report(of_stack).page
    assert "A stack on the best" in page
    assert "on the predictions of: " in page


def test_one_fold_is_singular(evidence: Evidence) -> None:
    plan = evidence.use_case.split.model_copy(update={"folds": 1})
    page = render_report(replace(evidence, use_case=evidence.use_case.model_copy(update={"split": plan}))).page
    assert "rows of 1 fold in order of time" in page
    assert "1 folds" not in page


def test_leaderboard_lists_left_out_inputs_and_axes_are_limited(evidence: Evidence, trials: list[Trial]) -> None:
    names = [f"without.c{place}" for place in range(9)]

    def wider(trial: Trial) -> Trial:
        flags = {name: (trial.number >> place % 4) % 2 == 1 for place, name in enumerate(names)}
        return replace(trial, candidate=Candidate(trial.candidate.family, {**trial.candidate.params, **flags}))

    many = [wider(trial) for trial in trials]
    drawn = "\n".join(map(str, search.blocks(replace(evidence, trials=many))))
    assert "without.c0 False" not in drawn
    assert "without c0" in drawn
    assert drawn.count('class="axis middle"') <= 2 * (search.MAX_AXES + 1)
    assert "The 3 hyperparameters of least importance are not drawn." in drawn
    few = "\n".join(map(str, search.blocks(evidence)))
    assert "are not drawn" not in few


def test_given_fold_pipelines_are_not_fitted_again(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    before = evidence.fold_results
    monkeypatch.setattr("training.report.evidence.fit", None)
    again = replace(evidence, fold_pipelines=[each.pipeline for each in evidence.fold_scorers]).fold_results
    for first, second in zip(before, again, strict=True):
        np.testing.assert_array_equal(first.outcomes.predicted, second.outcomes.predicted)


def test_kept_predictions_take_the_place_of_fits_on_the_folds(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = evidence.fold_results
    raw = run_trial(
        evidence.winner.number, evidence.winner.candidate, evidence.folds, evidence.seed, before[0].outcomes.threshold
    )
    monkeypatch.setattr("training.report.evidence.fit", None)
    kept = replace(evidence, winner=replace(evidence.winner, predictions=raw.predictions)).fold_results
    for first, second in zip(before, kept, strict=True):
        np.testing.assert_array_equal(first.outcomes.predicted, second.outcomes.predicted)


def test_sections_that_do_not_fit_into_the_time_left_say_so(evidence: Evidence) -> None:
    slow = replace(evidence.winner, duration=timedelta(minutes=5))
    trials = [slow if trial.candidate == slow.candidate else trial for trial in evidence.trials]
    late = replace(evidence, winner=slow, trials=trials, budget=Budget.of(1e-9))
    assert late.too_slow(1) == (
        "Left out: it fits the winner again, which takes about 300 s, and 0 s were left. "
        "A longer max_minutes has time for it"
    )
    report = render_report(late)
    assert report.page.count("Left out: it fits the winner again") == 2
    assert "Partial dependence:" in report.page, "it fits nothing"
    assert "Shapley values (SHAP)" in report.page
    assert not report.failures


def test_a_fit_of_a_second_is_always_done(evidence: Evidence) -> None:
    quick = replace(evidence.winner, duration=timedelta(seconds=1))
    trials = [quick if trial.candidate == quick.candidate else trial for trial in evidence.trials]
    assert replace(evidence, winner=quick, trials=trials, budget=Budget.of(1e-9)).too_slow(1) is None
