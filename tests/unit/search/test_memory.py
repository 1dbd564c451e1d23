"""Memory of dense rows: reported, and refused before the machine swaps."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.frames import alternating
from training.search import memory
from training.search.memory import RowsTooLarge, available_bytes, require_memory
from training.use_case.search import SearchPlan

ROWS = alternating(1024)  # 4 columns: 32 KiB dense


def plan(*families: str, **changes: Any) -> SearchPlan:
    return SearchPlan.model_validate({"families": families, "blend": 0, **changes})


@pytest.mark.parametrize(
    ("searched", "matrices"),
    [
        (plan("lightgbm", "knn"), 1),
        (plan("lightgbm", parallelism=4), 4),
        (plan("lightgbm", parallelism=4, executor="spark_connect"), 1),
        (plan("knn", blend=3), 1),
    ],
)
def test_rows_are_refused_if_one_byte_is_missing(
    monkeypatch: pytest.MonkeyPatch, searched: SearchPlan, matrices: int
) -> None:
    needed = 1024 * 4 * 8 * 3 * matrices
    monkeypatch.setattr(memory, "available_bytes", lambda: needed)
    assert str(require_memory(searched, ROWS)).startswith("dense rows (")
    monkeypatch.setattr(memory, "available_bytes", lambda: needed - 1)
    with pytest.raises(RowsTooLarge, match=r"for 1,024 rows x 4 columns, and 0 MiB are free\n.*logistic_regression"):
        require_memory(searched, ROWS)


def test_sparse_rows_need_no_memory_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 0)
    assert require_memory(plan("knn", "logistic_regression"), ROWS) is None


def test_an_estimate_names_the_families_and_the_size() -> None:
    wide = replace(ROWS, encoder=replace(ROWS.encoder, features=ROWS.encoder.features * 64))
    assert (
        require_memory(plan("knn", "lightgbm", "catboost"), wide)
        == "dense rows (lightgbm, catboost) take up to 6 MiB"
    )


def test_available_memory_is_read_from_meminfo_or_is_the_total(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  100 kB\nMemAvailable:  40 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", meminfo)
    assert available_bytes() == 40 * 1024
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "none")
    assert available_bytes() > 2**28
