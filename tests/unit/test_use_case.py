"""Use-case files: what is wrong in one is named, with the nearest right word."""

from pathlib import Path

import pytest

from training.use_case import FOLDER, UseCaseRefused, load

GOOD = (FOLDER / "term_deposit.yml").read_text(encoding="utf-8")


def test_every_use_case_of_the_project_loads() -> None:
    for file in FOLDER.glob("*.yml"):
        assert load(file.stem).name == file.stem


def test_an_unknown_use_case_names_the_nearest() -> None:
    with pytest.raises(UseCaseRefused, match=r"no use case 'term_deposits'\. Did you mean 'term_deposit'"):
        load("term_deposits")


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("task: binary", "tasks: binary", "tasks: no such key. Did you mean 'task'?"),
        ("method: tpe", "methods: tpe", "search.methods: no such key. Did you mean 'method'?"),
        ("{table: gold.client_features}", "{tabel: gold.x}", "features.0.tabel: no such key. Did you mean 'table'?"),
        ("entity: client_id", "entety: client_id", "labels.entety: no such key. Did you mean 'entity'?"),
        ("metric: roc_auc\n", "metric: roc_auk\n", "no metric 'roc_auk'. Did you mean 'roc_auc'?"),
        ("[logistic_regression, knn]", "[logistic, knn]", "no family 'logistic'"),
        ("[logistic_regression, knn]", "[]", "search.families"),
        ("holdout: 0.15", "holdout: 0.9", "split.holdout: Input should be less than 0.5 (got 0.9)"),
        ("max_evals: 40", "max_evals: 0", "search.max_evals"),
        ("threshold: 0.2", "threshold: 2", "serving.threshold"),
        ("endpoint: term-deposit", "endpoint: 'term deposit'", "serving.endpoint"),
        ("task: binary", "task: ranking", "task: Input should be 'binary'"),
        ("name: term_deposit", "name: churn", "name is 'churn', the file's is 'term_deposit'"),
        ("  - {table: gold.client_features}", "  - {table: a.b}\n  - {table: a.b}", "name a table twice"),
        ("name: term_deposit", "name: [", "no YAML"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, right: str, wrong: str, told: str) -> None:
    assert right in GOOD
    (tmp_path / "term_deposit.yml").write_text(GOOD.replace(right, wrong, 1), encoding="utf-8")
    with pytest.raises(UseCaseRefused) as refused:
        load("term_deposit", tmp_path)
    assert told in str(refused.value)
    assert "Correct " in str(refused.value)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "term_deposit.yml").write_text("", encoding="utf-8")
    with pytest.raises(UseCaseRefused, match="the file: "):
        load("term_deposit", tmp_path)
