"""Golden versions: registered by an earlier state of the code, loaded and scored bit by bit by this one."""

import json
import shutil
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pytest

from deployment.gate.loaded_version import LoadedVersion
from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.models.loader import RegistryLoader
from lakehouse.settings import PROJECT, Settings
from scoring.digest import DIGEST, digest
from scoring.golden import REQUEST, RESPONSE
from scoring.scorer import Scorer
from tests.contract.databases import new_database
from tests.contract.people import mlflow_restored
from tests.golden.write_versions import FOLDER, RESPONSES, VERSIONS
from training.tracking import tracking

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
    assert model.unwrap_python_model().respond(records) == responses
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
    assert json.loads(model.predictions(ScoringRequest(records))) == {"predictions": responses}
