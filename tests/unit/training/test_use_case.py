"""Use-case files: errors name the mistake and suggest the nearest valid word."""

from pathlib import Path

import pytest

from training.evaluation.threshold import ThresholdRule
from training.models import ON_SPARK
from training.stages.search import apply_overrides
from training.use_case.use_case import FOLDER, UseCaseRefused, load, load_all, with_search

# A short use case in which each line can be broken.
GOOD = """\
name: term_deposit
task: binary
labels: {table: gold.term_deposit_labels, entity: client_id, timestamp: contacted_at, column: subscribed}
features:
  - {table: gold.client_features}
split: {by: time, holdout: 0.15, folds: 4}
search:
  method: tpe
  max_evals: 40
  metric: roc_auc
  families: [logistic_regression, knn]
  seed: 20100501
promotion: {metric: roc_auc, minimum: 0.60, margin: 0.005, confidence: 0.95}
serving:
  endpoint: term-deposit
  fields: [label, probability]
  threshold: 0.2
  postprocess: scoring.hooks.probability_band:add_band
golden_request:
  age: 41
  job: technician
  marital: married
  education: secondary
  has_default: false
  balance: 1270
  has_housing_loan: true
  has_personal_loan: false
  contact_channel: cellular
  contacts_this_campaign: 1
  previous_contacts: 1
  days_since_previous_contact: 92
  previous_outcome: success
"""


def test_all_use_cases_load() -> None:
    for file in FOLDER.glob("*.yml"):
        assert load(file.stem).name == file.stem


def test_search_options_apply_to_all_use_cases() -> None:
    for use_case in load_all():
        otherwise = with_search(use_case, {"max_evals": 3})
        assert otherwise.search.max_evals == 3
        assert with_search(otherwise, {"max_evals": use_case.search.max_evals}) == use_case


def test_other_families_than_those_of_the_use_case_need_none_of_its_ranges() -> None:
    use_case = load("recommended")
    assert with_search(use_case, {"families": ["lightgbm"]}).search.space == {}
    both = with_search(use_case, {"families": ["lightgbm", "logistic_regression"]})
    assert both.search.space == use_case.search.space != {}


@pytest.mark.parametrize("family", sorted(ON_SPARK))
def test_a_family_on_spark_is_refused_for_a_forecast_by_name(family: str) -> None:
    with pytest.raises(UseCaseRefused, match=f"no family for forecast '{family}'. (Known: auto_ets|Did you mean)"):
        with_search(load("regional_revenue"), {"families": [family], "parallelism": 1})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"families": "knn, logistic_regresion"}, "search.families: no family 'logistic_regresion'. Did you mean"),
        ({"families": "ridge"}, "the use case: no family for binary 'ridge'"),
        ({"families": "knn,knn"}, "search.families: a family is repeated in knn, knn"),
        ({"executor": "in_process", "parallelism": 2}, "in_process runs one trial at a time"),
    ],
)
def test_error_of_an_invalid_option_suggests_the_nearest_word(options: dict[str, object], message: str) -> None:
    with pytest.raises(UseCaseRefused, match="invalid options") as refused:
        apply_overrides(load("term_deposit"), options)
    assert message in str(refused.value)
    assert "python -m training.run --help" in str(refused.value)
    assert max(map(len, str(refused.value).splitlines())) < 360


def test_error_of_an_unknown_use_case_suggests_the_nearest() -> None:
    with pytest.raises(UseCaseRefused, match=r"no use case 'term_deposits'\. Did you mean 'term_deposit'"):
        load("term_deposits")


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("task: binary", "tasks: binary", "tasks: no such key. Did you mean 'task'?"),
        ("method: tpe", "methods: tpe", "search.methods: no such key. Did you mean 'method'?"),
        ("{table: gold.client_features}", "{tabel: gold.x}", "features.0.tabel: no such key. Did you mean 'table'?"),
        ("entity: client_id", "entety: client_id", "labels.entety: no such key. Did you mean 'entity'?"),
        ("metric: roc_auc\n", "metric: roc_auk\n", "no metric 'roc_auk'. Did you mean 'roc_auc'?"),
        ("[logistic_regression, knn]", "[logistic, knn]", "no family 'logistic'"),
        ("[logistic_regression, knn]", "[]", "search.families"),
        ("holdout: 0.15", "holdout: 0.9", "split.holdout: Input should be less than 0.5 (got 0.9)"),
        ("method: tpe", "method: bayes", "search.method: Input should be 'grid', 'random' or 'tpe' (got 'bayes')"),
        ("method: tpe", "method: tpe\n  space: {knn: {n_neighbour: [5]}}", "Did you mean 'n_neighbors'?"),
        ("method: tpe", "method: tpe\n  space: {knm: {n_neighbors: [5]}}", "Did you mean 'knn'?"),
        ("method: tpe", "method: tpe\n  space: {knn: {weights: []}}", "knn.weights: a choice needs at least one"),
        (
            "method: tpe",
            "method: tpe\n  space: {knn: {weights: {low: 1}}}",
            "knn.weights is one of uniform, distance",
        ),
        (
            "method: tpe",
            "method: tpe\n  space: {knn: {n_neighbors: {low: 9, high: 3}}}",
            "bound 9 is not below the upper",
        ),
        (
            "method: tpe",
            "method: tpe\n  space: {knn: {n_neighbors: [5, many]}}",
            "n_neighbors cannot be 'many': it is a",
        ),
        (
            "method: tpe",
            "method: tpe\n  space: {knn: {n_neighbors: [5.5]}}",
            "cannot be 5.5: it is an integer above 0",
        ),
        (
            "method: tpe",
            "method: tpe\n  space: {knn: {n_neighbors: [0]}}",
            "cannot be 0: it is an integer above 0",
        ),
        (
            "method: tpe",
            "method: tpe\n  space: {knn: {n_neighbors: {low: -5}}}",
            "it cannot start at -5: it is an integer above 0",
        ),
        (
            "method: tpe",
            "method: tpe\n  space: {logistic_regression: {inverse_regularization: [-1.0]}}",
            "cannot be -1.0: it is a number of at least 0",
        ),
        (
            "method: tpe",
            "method: tpe\n  space: {logistic_regression: {recency_half_life_days: [-30]}}",
            "recency_half_life_days cannot be -30: it is one of None, 30",
        ),
        (
            "method: tpe",
            "method: tpe\n  recency_weights: false\n  space: {logistic_regression: {recency_half_life_days: [30]}}",
            "logistic_regression has no dimension 'recency_half_life_days'",
        ),
        ("by: time", "by: column", "split by column needs `column`: the column of the label table with the folds"),
        ("by: time", "by: column, column: fold", "reads folds and holdout from fold: remove `folds`"),
        ("by: time", "by: time, column: fold", "split by time reads no column: use by: column, or remove `column`"),
        ("by: time", "by: time, holdout_value: 0", "split by time reads no column"),
        (
            "split: {by: time, holdout: 0.15, folds: 4}",
            "split: {by: column, column: subscribed}",
            "split.column and labels.column are both subscribed",
        ),
        ("by: time", "by: window", "split by window has exactly one fold: remove `folds`, or use by: time"),
        ("method: tpe", "method: tpe\n  space: {knn: {weights: [even]}}", "'even': it is one of uniform, distance"),
        ("method: tpe", "method: tpe\n  space: {knn: {n_neighbors: {lo: 9}}}", "no such key. Did you mean 'low'?"),
        ("method: tpe", "method: tpe\n  trial_timeout_s: 3\n  executor: in_process", "need executor: processes"),
        (
            "method: tpe",
            "method: tpe\n  parallelism: 2\n  executor: in_process",
            "in_process runs one trial at a time",
        ),
        ("method: tpe", "method: grid\n  executor: spark_trials", "it needs engine: hyperopt and method: tpe"),
        ("method: tpe", "method: tpe\n  prune: true\n  executor: spark_trials", "remove `prune`"),
        ("method: tpe", "method: tpe\n  max_eval: 3", "search.max_eval: no such key. Did you mean 'max_evals'?"),
        ("folds: 4", "folds: 0", "split.folds: Input should be greater than or equal to 1 (got 0)"),
        ("folds: 4", "folds: 4, fold: 3", "split.fold: no such key. Did you mean 'folds'?"),
        ("metric: roc_auc, ", "metrik: roc_auc, ", "promotion.metrik: no such key. Did you mean 'metric'?"),
        ("metric: roc_auc, ", "metric: auc, ", "promotion.metric: no metric 'auc'. Did you mean 'roc_auc'?"),
        (
            "confidence: 0.95",
            "confidence: 1",
            "promotion.confidence: Input should be less than or equal to 0.995 (got 1)",
        ),
        ("margin: 0.005", "margin: -0.1", "promotion.margin"),
        ("margin: 0.005", "margin: .nan", "promotion.margin"),
        ("margin: 0.005", "margin: 1.0", "promotion.margin is 1: a gain in roc_auc is at least -1, so every version"),
        ("margin: 0.005", "margin: 1, test: superiority", "a gain in roc_auc is at most 1, so no version meets it"),
        ("minimum: 0.60", "minimum: 0", "promotion.minimum is 0: roc_auc is at least 0, so every version meets it"),
        ("minimum: 0.60", "minimum: 60", "promotion.minimum is 60: roc_auc is at most 1, so no version meets it"),
        ("roc_auc, minimum: 0.60", "log_loss, minimum: -1", "log_loss is at least 0, so no version meets it"),
        (
            "margin: 0.005",
            "margin: 0.005, guards: {slices: [age], max_slice_drop: 1}",
            "promotion.guards.max_slice_drop is 1: roc_auc drops by at most 1, so every version meets it",
        ),
        (
            "margin: 0.005",
            "margin: 0.005, guards: {max_changed_decisions: 1}",
            "promotion.guards.max_changed_decisions is 1: it is at most 1, so every version meets it",
        ),
        ("golden_request:", "monitoring: {max_drop: 5}\ngolden_request:", "A share of its value on the holdout: 5%"),
        ("golden_request:", "monitoring: {max_drop: 100%}\ngolden_request:", "monitoring.max_drop is 100%: roc_auc"),
        ("fields: [label, probability]", "fields: [label, odds]", "no field of a binary response 'odds'"),
        ("fields: [label, probability]", "fields: []", "serving.fields"),
        ("client_features}", "client_features, exclude: age}", "features.0.exclude: Input should be a valid tuple"),
        ("client_features}", "client_features, lookback_days: 0}", "features.0.lookback_days"),
        ("labels: {", "label: {", "label: no such key. Did you mean 'labels'?"),
        ("golden_request:", "golden_requests:", "golden_request: Field required"),
        ("threshold: 0.2", "threshold: 2", "serving.threshold: Input should be less than 1"),
        ("threshold: 0.2", "threshold: {maximize: f1}", "threshold.maximize: no such key. Did you mean 'maximise'?"),
        (
            "threshold: 0.2",
            "threshold: {maximise: f1_score}",
            "no metric of decisions 'f1_score'. Known: accuracy, f1",
        ),
        ("threshold: 0.2", "threshold: {cost: {false_positive: 1}}", "serving.threshold.cost.false_negative: Field"),
        ("threshold: 0.2", "calibration: platt", "serving.calibration: Input should be 'none', 'auto', 'sigmoid' or"),
        ("method: tpe", "method: tpe\n  leave_out: [[age, age]]", "leave_out names age twice"),
        ("method: tpe", "method: tpe\n  leave_out: all", "search.leave_out"),
        ("method: tpe", "method: tpe\n  space: {knn: {weights: []}}", "a choice needs at least one value"),
        ("families: [logistic_regression, knn]", "families: []", "search.families"),
        ("endpoint: term-deposit", "endpoint: 'term deposit'", "serving.endpoint"),
        ("task: binary", "task: ranking", "task: Input should be 'binary'"),
        ("name: term_deposit", "name: churn", "name is 'churn', but the file is named 'term_deposit'"),
        ("  - {table: gold.client_features}", "  - {table: a.b}\n  - {table: a.b}", "name a table twice"),
        ("name: term_deposit", "name: [", "not YAML"),
    ],
)
def test_error_names_the_mistake(tmp_path: Path, right: str, wrong: str, message: str) -> None:
    assert right in GOOD
    (tmp_path / "term_deposit.yml").write_text(GOOD.replace(right, wrong, 1), encoding="utf-8")
    with pytest.raises(UseCaseRefused) as refused:
        load("term_deposit", tmp_path)
    assert message in str(refused.value)
    assert "Correct " in str(refused.value)


def test_error_lists_every_problem_of_a_file(tmp_path: Path) -> None:
    wrong = GOOD.replace("folds: 4", "folds: 0").replace("task: binary", "task: ranking")
    (tmp_path / "term_deposit.yml").write_text(wrong, encoding="utf-8")
    with pytest.raises(UseCaseRefused, match=r"(?s)task: .*split\.folds: "):
        load("term_deposit", tmp_path)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        pytest.param("[logistic_regression, knn]", "[knn, knn]", id="a family twice"),
        pytest.param("name: term_deposit", "name: caf\xe9", id="no UTF-8"),
        pytest.param("task: binary", "task: binary\nsearch: {families: [knn]}", id="a key twice"),
        pytest.param("seed: 20100501", "seed: 4294967296", id="a seed that no learner takes"),
        pytest.param("margin: 0.005", "margin: .inf", id="a margin that lets anything pass"),
        pytest.param("minimum: 0.60", "minimum: .nan", id="a minimum that nothing reaches"),
    ],
)
def test_values_that_would_fail_later_are_refused(tmp_path: Path, right: str, wrong: str) -> None:
    assert right in GOOD
    (tmp_path / "term_deposit.yml").write_text(GOOD.replace(right, wrong, 1), encoding="latin-1")
    with pytest.raises(UseCaseRefused):
        load("term_deposit", tmp_path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "term_deposit.yml").write_text("", encoding="utf-8")
    with pytest.raises(UseCaseRefused, match="the file: "):
        load("term_deposit", tmp_path)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("minimum: 0.60, ", "", "promotion.minimum: Field required"),
        ("folds: 4", "folds: four", "split.folds: Input should be a valid integer"),
        (
            "by: time",
            "by: random",
            "split.by: Input should be 'time', 'window', 'group', 'stratified' or 'column'",
        ),
        ("{table: gold.client_features}", "gold.client_features", "features.0: Input should be a valid dictionary"),
        ("client_features}", "client_features, excluded: [a]}", "features.0.excluded: no such key. Did you mean"),
        ("[logistic_regression, knn]", "[knn, logistic_regresion]", "Did you mean 'logistic_regression'?"),
        ("task: binary", "task: binary\n1: 2", "1: Keys should be strings"),
    ],
)
def test_error_of_a_wrong_type_names_its_path(tmp_path: Path, right: str, wrong: str, message: str) -> None:
    test_error_names_the_mistake(tmp_path, right, wrong, message)


@pytest.mark.parametrize("content", ["- a list", "a text", "42", "name: term_deposit\n\0"])
def test_file_without_a_mapping_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "term_deposit.yml").write_text(content, encoding="utf-8")
    with pytest.raises(UseCaseRefused, match=r"term_deposit\.yml is not a valid use case"):
        load("term_deposit", tmp_path)


@pytest.mark.parametrize("name", ["../term_deposit", "term_deposit.yml", ""])
def test_a_path_is_not_a_use_case_name(name: str) -> None:
    with pytest.raises(UseCaseRefused, match=f"there is no use case '{name}'"):
        load(name)


def test_error_for_a_folder_without_use_cases(tmp_path: Path) -> None:
    with pytest.raises(UseCaseRefused, match=r"Known: none\.\n.*files in "):
        load("term_deposit", tmp_path)


def test_search_by_decisions_is_refused_with_a_tuned_threshold(tmp_path: Path) -> None:
    tuned = GOOD.replace("threshold: 0.2", "threshold: {maximise: f1}")
    (tmp_path / "term_deposit.yml").write_text(tuned, encoding="utf-8")
    use_case = load("term_deposit", tmp_path)
    assert isinstance(use_case.serving.threshold, ThresholdRule)
    assert use_case.response_format.threshold == 0.5
    by_f1 = tuned.replace("metric: roc_auc\n", "metric: f1\n")
    (tmp_path / "term_deposit.yml").write_text(by_f1, encoding="utf-8")
    with pytest.raises(UseCaseRefused, match=r"search\.metric f1 compares decisions"):
        load("term_deposit", tmp_path)


def test_tuned_threshold_and_calibration_need_binary_labels(tmp_path: Path) -> None:
    (tmp_path / "term_deposit.yml").write_text(
        GOOD.replace("task: binary", "task: multiclass")
        .replace("column: subscribed}", "column: subscribed, classes: [a, b, c]}")
        .replace("threshold: 0.2", "calibration: auto"),
        encoding="utf-8",
    )
    with pytest.raises(UseCaseRefused, match="calibration need binary labels, but the task is multiclass"):
        load("term_deposit", tmp_path)


MULTICLASS = (
    GOOD.replace("task: binary", "task: multiclass")
    .replace("  threshold: 0.2\n", "")
    .replace("  postprocess: scoring.hooks.probability_band:add_band\n", "")
)
MULTICLASS = MULTICLASS.replace("metric: roc_auc", "metric: log_loss").replace(
    "column: subscribed}", "column: subscribed, classes: [a, b, c]}"
)


def refusal(folder: Path, text: str) -> str:
    (folder / "term_deposit.yml").write_text(text, encoding="utf-8")
    with pytest.raises(UseCaseRefused) as refused:
        load("term_deposit", folder)
    return str(refused.value)


@pytest.mark.parametrize(
    ("classes", "messages"),
    [
        ("[NO, DE, SE]", ["line 3: YAML reads NO as false. Put it in quotes: 'NO'"]),
        ("[yes, no, Off]", ["YAML reads yes as true", "YAML reads no as false", "YAML reads Off as false"]),
        ("[01067, 10115, 20095]", ["line 3: YAML reads 01067 as 567. Put it in quotes: '01067'"]),
        ("[0x1F, 1_000, +49]", ["reads 0x1F as 31.", "reads 1_000 as 1000.", "reads +49 as 49."]),
        ("[1:30, 12:30:00, 1:30.5]", ["reads 1:30 as 90.", "reads 12:30:00 as 45000.", "reads 1:30.5 as 90.5."]),
        ("[2024-01-01, 2024-13-01, x]", ["reads 2024-01-01 as a date", "cannot read 2024-13-01", "'2024-13-01'"]),
        ("[=, a, b]", ["YAML has a meaning of its own for =", "'='"]),
        ("[true, false, unknown]", ["labels.classes: a class is a text or an integer", "in quotes", "True"]),
        ("[null, a, b]", ["labels.classes: a class is a text or an integer", "in quotes"]),
        ("[~, a, b]", ["labels.classes: a class is a text or an integer"]),
        ("[1.0, 1.10, 2.0]", ["labels.classes: a class is a text or an integer", "'1.10' in quotes"]),
        ("[1e3, 2E5, 7]", ["labels.classes: a class is a text or an integer"]),
        ("['01067', 10115, 20095]", ["labels.classes: classes are all texts or all integers: put each"]),
    ],
)
def test_classes_that_yaml_changes_are_refused_with_the_hint_to_quote(
    tmp_path: Path, classes: str, messages: list[str]
) -> None:
    message = refusal(tmp_path, MULTICLASS.replace("[a, b, c]", classes))
    for part in [*messages, "Correct "]:
        assert part in message


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ("['NO', DE, SE]", ("NO", "DE", "SE")),
        ("['01067', '10115', \"20095\"]", ("01067", "10115", "20095")),
        ("[10115, 0, -7]", (10115, 0, -7)),
        ("[!!str no, y, n]", ("no", "y", "n")),
    ],
)
def test_classes_in_quotes_and_plain_integers_stay_as_they_are(
    tmp_path: Path, classes: str, expected: tuple[object, ...]
) -> None:
    (tmp_path / "term_deposit.yml").write_text(MULTICLASS.replace("[a, b, c]", classes), encoding="utf-8")
    assert load("term_deposit", tmp_path).classes == expected


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("job: technician", "job: no", "line 21: YAML reads no as false. Put it in quotes: 'no', or write false"),
        ("job: technician", "job: 01067", "line 21: YAML reads 01067 as 567"),
        ("job: technician", "job: 2024-01-01", "YAML reads 2024-01-01 as a date"),
        ("job: technician", "on: technician", "YAML reads on as true. Put it in quotes: 'on'"),
        ("client_features}", "client_features, exclude: [age, off]}", "YAML reads off as false"),
        ("column: subscribed", "column: no", "line 3: YAML reads no as false"),
    ],
)
def test_values_that_yaml_changes_are_refused_everywhere(
    tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    assert right in GOOD
    assert message in refusal(tmp_path, GOOD.replace(right, wrong, 1))


def test_numbers_are_read_as_in_json(tmp_path: Path) -> None:
    text = GOOD.replace("balance: 1270", "balance: 1e-05").replace("margin: 0.005", "margin: 5e-3")
    (tmp_path / "term_deposit.yml").write_text(text, encoding="utf-8")
    use_case = load("term_deposit", tmp_path)
    assert (use_case.golden_request["balance"], use_case.promotion.margin) == (1e-05, 0.005)
