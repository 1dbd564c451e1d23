"""Golden versions: registered by an earlier state of the code, loaded and scored bit by bit by this one."""

import json
import shutil
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pytest

from lakehouse.settings import PROJECT
from scoring.scorer import Scorer
from tests.golden.write_versions import FOLDER, RESPONSES, VERSIONS

STORED = sorted(folder.name for folder in FOLDER.iterdir())


def stored_responses(name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    content = json.loads((FOLDER / name / RESPONSES).read_text(encoding="utf-8"))
    return content["records"], content["responses"]


def test_every_golden_version_is_stored() -> None:
    assert sorted(VERSIONS) == STORED


@pytest.mark.parametrize("name", STORED)
def test_the_files_score_bit_by_bit(name: str) -> None:
    records, responses = stored_responses(name)
    assert len(records) > 10
    artifacts = {file.name: str(file) for file in (FOLDER / name / "artifacts").iterdir()}
    scorer = Scorer.load(artifacts)
    assert scorer.respond(records) == responses
    assert [scorer.respond([record])[0] for record in records] == responses


@pytest.mark.parametrize("name", STORED)
def test_mlflow_loads_the_version_and_it_scores_bit_by_bit(name: str, tmp_path: Path) -> None:
    files = shutil.copytree(FOLDER / name, tmp_path / name)
    for package in ("lakehouse", "scoring"):
        (files / "code").mkdir(exist_ok=True)
        (files / "code" / package).symlink_to(PROJECT / package)
    records, responses = stored_responses(name)
    assert mlflow.pyfunc.load_model(str(files)).unwrap_python_model().respond(records) == responses
