"""Golden versions: registered by an earlier state of the code, loaded and scored bit by bit by this one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pytest

from deployment.gate.loaded_version import LoadedVersion
from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.models.loader import RegistryLoader
from lakehouse.settings import PROJECT, Settings
from scoring.digest import DIGEST, digest
from scoring.golden import REQUEST, RESPONSE, nearly_equal
from scoring.scorer import Scorer
from tests.contract.databases import new_database
from tests.contract.people import mlflow_restored
from tests.golden.write_versions import FOLDER, RESPONSES, VERSIONS
from training.tracking import tracking

STORED = sorted(folder.name for folder in FOLDER.iterdir())
LAST_DIGITS = "calibrated_linear_with_hook"  # by numpy's logarithm on AVX-512; other processors give others


def stored_responses(name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    content = json.loads((FOLDER / name / RESPONSES).read_text(encoding="utf-8"))
    return content["records"], content["responses"]


def artifacts_of(name: str) -> dict[str, str]:
    return {file.name: str(file) for file in (FOLDER / name / "artifacts").iterdir()}


def test_every_golden_version_is_stored() -> None:
    assert sorted(VERSIONS) == STORED


@pytest.mark.parametrize("name", STORED)
def test_the_files_score_bit_by_bit(name: str) -> None:
    records, responses = stored_responses(name)
    assert len(records) > 10
    scorer = Scorer.load(artifacts_of(name))
    scored = scorer.respond(records)
    assert same(name, scored, responses)
    assert [scorer.respond([record])[0] for record in records] == scored


def same(name: str, responses: Any, stored: Any) -> bool:
    """True if the responses have the stored bits; up to their last digits for that version."""
    return nearly_equal(responses, stored) if name == LAST_DIGITS else bool(responses == stored)


def complete(name: str, tmp_path: Path) -> Path:
    """The files of a version, with the code of today."""
    files = shutil.copytree(FOLDER / name, tmp_path / name)
    for package in ("lakehouse", "scoring"):
        shutil.copytree(PROJECT / package, files / "code" / package, ignore=shutil.ignore_patterns("__pycache__"))
    return files


@pytest.mark.parametrize("name", STORED)
def test_mlflow_loads_the_version_and_it_scores_bit_by_bit(name: str, tmp_path: Path) -> None:
    records, responses = stored_responses(name)
    model = mlflow.pyfunc.load_model(str(complete(name, tmp_path)))
    assert same(name, model.unwrap_python_model().respond(records), responses)
    assert len(model.metadata.metadata[REQUEST]) == len(model.metadata.metadata[RESPONSE]) > 1


@pytest.mark.parametrize("name", STORED)
def test_gate_and_server_load_the_version_from_a_registry(name: str, tmp_path: Path) -> None:
    files, uri = complete(name, tmp_path), new_database(tmp_path)
    records, responses = stored_responses(name)
    with mlflow_restored(), tracking(Settings(tmp_path, tmp_path, None, uri, uri, "")) as client:
        client.create_registered_model(name)
        version = client.create_model_version(name, source=str(files), tags={DIGEST: digest(files)})
        LoadedVersion.load(version).replay()
        model = RegistryLoader(uri, tmp_path / "cache")(name, str(version.version))
    assert same(name, json.loads(model.predictions(ScoringRequest(records))), {"predictions": responses})


def responses_of_each() -> list[list[dict[str, Any]]]:
    return [Scorer.load(artifacts_of(name)).respond(stored_responses(name)[0]) for name in STORED]


def test_the_instructions_of_the_processor_do_not_change_a_bit() -> None:
    module = "tests.contract.training.test_golden_versions"
    code = f"import json, {module} as tests; print(json.dumps(tests.responses_of_each()))"
    oldest = {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR", "OPENBLAS_CORETYPE": "Nehalem"}
    command = [sys.executable, "-c", code]
    process = subprocess.run(
        command, cwd=PROJECT, env=os.environ | oldest, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout) == responses_of_each()
