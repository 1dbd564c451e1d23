"""`python -m tests.golden.write_versions NAME`: train, register and store a golden version.

A golden version is a small registered version that every later state of the code must load and score bit by bit. Add
one for a new kind of file; never write an existing one again, since that would hide a break.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import mlflow
import yaml
from mlflow.tracking import MlflowClient

from lakehouse import console
from lakehouse.options.choices import OneOf
from lakehouse.settings import Settings
from scoring.scorer import Scorer
from tests.contract.training.test_registration import in_records, suiting
from tests.golden.every_encoding import records, rows_of_every_encoding
from tests.unit.points import POINTS, rows_of, with_predictions
from tests.unit.scoring.test_scorer import RECORDS
from training.frame import splits
from training.frame.provenance import provenance
from training.registry.compilation import compile_scorer
from training.registry.registration import register_version
from training.search.ensemble_candidates import blend_candidate, stack_candidate, stack_layers
from training.search.result import SearchResult
from training.search.trial import Trial
from training.space.joint_space import Candidate
from training.space.left_out_inputs import WITHOUT
from training.stages.refit import refit
from training.tracking import experiment_id, tracking
from training.use_case.use_case import UseCase

FOLDER = Path(__file__).parent / "versions"
RESPONSES = "responses.json"
LEFT_OUT = {"code", "conda.yaml", "python_env.yaml", "registered_model_meta"}  # a test brings the code of today
HOLDOUT_RECORDS = 40


@dataclass(frozen=True)
class GoldenVersion:
    """Training of a golden version.

    Attributes:
        serving: keys of the use case's `serving` section.
        compiled: False keeps the fitted pipeline.
        every_encoding: True for rows with every kind of encoding.
    """

    task: str
    candidate: Callable[[], Candidate]
    serving: Mapping[str, Any]
    compiled: bool = True
    every_encoding: bool = False


def _point(family: str, **more: Any) -> Candidate:
    return Candidate(family, {**dict(POINTS)[family], **more})


def _every_estimator() -> Candidate:
    return blend_candidate(
        [
            (0.25, _point("knn")),
            (0.25, _point("catboost")),
            (0.25, _point("lightgbm", **{f"{WITHOUT}known": True})),
            (0.25, _point("xgboost")),
        ]
    )


VERSIONS: Mapping[str, GoldenVersion] = {
    "calibrated_linear_with_hook": GoldenVersion(
        "binary",
        lambda: _point("logistic_regression"),
        {"calibration": "sigmoid", "postprocess": "scoring.hooks.probability_band:add_band"},
    ),
    "onnx_multiclass": GoldenVersion("multiclass", lambda: _point("lightgbm"), {}),
    "compiled_blend_regression": GoldenVersion(
        "regression", lambda: blend_candidate([(0.5, _point("knn")), (0.5, _point("catboost"))]), {}
    ),
    "fitted_blend": GoldenVersion("binary", _every_estimator, {}, compiled=False),
    "every_encoding_with_lookup": GoldenVersion(
        "binary", lambda: _point("xgboost"), {"lookup": {"unknown": "refuse"}}, every_encoding=True
    ),
    "sigmoid_of_the_c_library": GoldenVersion(
        "binary", lambda: _point("logistic_regression"), {"calibration": "sigmoid"}
    ),
    "compiled_stack": GoldenVersion(
        "binary", lambda: stack_candidate([_point("knn"), _point("xgboost")], _point("lightgbm")), {}
    ),
    "fitted_stack": GoldenVersion(
        "regression",
        lambda: stack_candidate([_point("lightgbm"), _point("xgboost")], _point("catboost")),
        {},
        compiled=False,
    ),
    "forest_in_doubles": GoldenVersion("binary", lambda: _point("random_forest"), {}),
}


def use_case_of(name: str) -> UseCase:
    """The use case of a golden version."""
    golden = VERSIONS[name]
    plain = suiting(golden.task, name).model_dump()
    if golden.every_encoding:
        plain["golden_request"] = records(2)[1] | {"age": 30}
    return UseCase.model_validate(plain | {"serving": {"endpoint": name.replace("_", "-"), **golden.serving}})


def write(name: str, folder: Path) -> None:
    """Train and register the version in a registry of its own; store its files and responses in the folder."""
    use_case, golden = use_case_of(name), VERSIONS[name]
    rows = (rows_of_every_encoding if golden.every_encoding else rows_of)(golden.task)
    data = splits.split(rows, use_case.split)
    if layers := stack_layers(golden.candidate()):
        data = replace(data, training=with_predictions(data.training, *layers[0]))
    winner = Trial(1, golden.candidate(), {use_case.search.metric: 0.0}, ({},), timedelta(0))
    scorer = refit(use_case, winner, data.training).scorer
    if golden.compiled:
        scorer = compile_scorer(scorer, data.holdout.features).applied_to(scorer)
    with tempfile.TemporaryDirectory() as place:
        uri = f"sqlite:///{place}/mlflow.db"
        settings = Settings(Path(place), Path(place), None, uri, uri, "")
        with tracking(settings) as client, mlflow.start_run(experiment_id=experiment_id(client, settings, name)):
            source = provenance(data, use_case.split, None)
            version = register_version(
                MlflowClient(), use_case, scorer, SearchResult((winner,), "complete"), source, {}
            )
        downloads = Path(place) / "downloads"
        downloads.mkdir()
        uri = f"models:/{version.name}/{version.version}"
        files = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(downloads)))
        shutil.copytree(files, folder, ignore=lambda _folder, _names: LEFT_OUT)
    _without_paths(folder / "MLmodel")
    sent = (
        records(HOLDOUT_RECORDS) if golden.every_encoding else [*RECORDS, *in_records(data.holdout)[:HOLDOUT_RECORDS]]
    )
    _store_responses(scorer, sent, folder / RESPONSES)


def _without_paths(file: Path) -> None:
    """Remove the paths of this machine; MLflow reads only the names at their ends."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content.pop("artifact_path", None)
    flavor = content["flavors"]["python_function"]
    flavor["model_code_path"] = Path(flavor["model_code_path"]).name
    flavor["env"] = {}
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = Path(artifact["uri"]).name
    file.write_text(yaml.safe_dump(content), encoding="utf-8")


def _store_responses(scorer: Scorer, records: list[dict[str, Any]], file: Path) -> None:
    content = {"records": records, "responses": scorer.respond(records)}
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@click.command()
@click.argument("name", type=OneOf(list(VERSIONS)))
def main(name: str) -> None:
    """Store the golden version NAME, which must not exist yet."""
    if (FOLDER / name).exists():
        raise click.UsageError(f"{FOLDER / name} exists: later states must load it, so it is never written again")
    write(name, FOLDER / name)
    console.detail(f"stored {FOLDER / name}")


if __name__ == "__main__":
    console.run_command(main)
