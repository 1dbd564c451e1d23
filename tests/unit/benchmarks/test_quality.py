"""The quality benchmark: its sets, its ranks, and a file of results that a cut run continues."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.quality.compare import print_results, read
from benchmarks.quality.ours import frame_of, use_case_of
from benchmarks.quality.ranking import normalised, ranks, summary
from benchmarks.quality.sets import METRIC_OF, SETS, Terms, train_and_test
from training.models import FAMILIES


def test_there_are_at_least_twelve_sets_and_four_of_each_task() -> None:
    counts = {task: sum(each.task == task for each in SETS.values()) for task in METRIC_OF}
    assert len(SETS) >= 12
    assert min(counts.values()) >= 4


def test_ranks_and_scores_are_means_over_splits_then_over_sets() -> None:
    assert ranks([0.3, 0.1, 0.3]).tolist() == [2.5, 1.0, 2.5]
    assert normalised([2.0, 2.0]).tolist() == [1.0, 1.0]
    losses = {
        "one/0": {"a": 1.0, "b": 2.0},
        "one/1": {"a": 1.0, "b": 2.0},
        "two/0": {"a": 5.0, "b": 4.0},
        "two/1": {"a": 5.0},
    }
    cells = summary(losses, ["a", "b"])
    assert cells["a"] == cells["b"] == ("1.50 [1.00, 2.00]", "0.50 [0.00, 1.00]")
    assert summary({"one/0": {"a": 1.0}}, ["a", "b"]) == {}


def test_a_results_file_with_an_incomplete_line_reads_and_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = '{"set": "wine", "split": 0, "system": "%s", "seconds": 15, "metric": "log_loss", "value": %s}\n'
    file = tmp_path / "results.jsonl"
    file.write_text(line % ("ours", 0.2) + line % ("booster", 0.3) + line % ("flaml", "null") + '{"set": "wi')
    results = read(file)
    assert [each["value"] for each in results] == [0.2, 0.3, None]
    assert read(tmp_path / "none.jsonl") == []
    print_results(results, ["ours", "flaml"])
    assert "1 of 1" in capsys.readouterr().out


def test_rows_are_encoded_by_the_training_rows_and_split_by_class(tmp_path: Path) -> None:
    rows = pd.DataFrame(
        {
            "number": np.where(np.arange(60) % 7 == 0, np.nan, np.arange(60.0)),
            "text": ["a", "b", None] * 20,
            "target": ["x"] * 30 + ["y"] * 28 + ["rare"] * 2,
        }
    )
    rows.to_parquet(tmp_path / "penguins.parquet")
    train, test = train_and_test("penguins", tmp_path, 0)
    assert (len(train), len(test)) == (41, 17)
    assert set(train["target"]) == set(test["target"]) == {0, 1}
    assert not train.equals(train_and_test("penguins", tmp_path, 1)[0])
    frame = frame_of(test.assign(text="new"), train, "multiclass")
    assert frame.encoder.features == ("number", "text_index")
    assert set(frame.features["text_index"]) == {0}
    assert np.isnan(frame.encoder.dense(frame.features)).sum() == test["number"].isna().sum() > 0


@pytest.mark.parametrize("task", METRIC_OF)
def test_our_search_has_its_time_its_portfolio_and_only_families_of_the_task(task: str) -> None:
    use_case = use_case_of(Terms(task, 90, 2, 3))
    plan = use_case.search
    assert (plan.max_seconds, plan.portfolio, plan.final, plan.parallelism, plan.seed) == (90, True, "refit", 2, 3)
    assert all(use_case.task in FAMILIES[family].tasks for family in plan.families)
