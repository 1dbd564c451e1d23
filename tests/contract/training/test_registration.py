"""A registered version: its description, never damaged, and loadable with only its requirements installed."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from lakehouse.settings import PROJECT, Settings
from scoring.golden import nearly_equal
from scoring.scorer import Scorer
from scoring.tasks import TASKS
from tests.contract.databases import new_database
from tests.contract.people import mlflow_restored
from tests.contract.training import clean_environment
from tests.unit.frames import alternating, by_time
from tests.unit.in_memory_reader import use_case
from tests.unit.points import LOCAL, POINTS, rows_of, with_predictions
from tests.unit.scoring.test_scorer import PARAMS, RECORDS
from training.evaluation.bootstrap import Interval
from training.evaluation.metrics import metrics_of
from training.frame import splits
from training.frame.frame import TrainingFrame
from training.frame.provenance import provenance
from training.frame.splits import Split
from training.models import FAMILIES
from training.models.family import TABULAR_TASKS
from training.registry.compilation import compile_scorer
from training.registry.registration import VersionDamaged, register_version
from training.registry.versions import newest_version, version_of
from training.search.ensemble_candidates import blend_candidate, stack_candidate, stack_layers
from training.search.fitting import fit
from training.search.result import SearchResult
from training.search.trial import Attempt, Trial
from training.search.trial import TrialSpec as SearchTask
from training.space.joint_space import Candidate
from training.stages.refit import refit
from training.tracking import experiment_id, tracking
from training.use_case.use_case import UseCase

CANDIDATE = Candidate("logistic_regression", PARAMS)
METRICS = {"roc_auc": 0.7}
WINNER = Trial(1, CANDIDATE, METRICS, (METRICS,), timedelta(0))
RESULT = SearchResult((WINNER,), "complete")
INTERVALS = {"roc_auc": Interval(0.7, 0.6, 0.8)}
SPLIT: Split = splits.split(alternating(100), by_time(holdout=0.2))


def banded(name: str) -> UseCase:
    plain = use_case("gold.people").model_dump() | {"name": name, "golden_request": RECORDS[0]}
    return UseCase.model_validate(
        plain | {"serving": {"endpoint": name, "postprocess": "scoring.hooks.probability_band:add_band"}}
    )


def scorer_of(case: UseCase) -> Scorer:
    pipeline = fit(CANDIDATE, SPLIT.training, 0)
    return Scorer(pipeline, SPLIT.training.encoder, case.response_format, case.hooks())


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowClient]:
    folder = tmp_path_factory.mktemp("registration")
    uri = new_database(folder)
    settings = Settings(folder, folder, None, uri, uri, "")
    with mlflow_restored(), tracking(settings) as ours:
        mlflow.set_experiment(experiment_id=experiment_id(ours, settings, "people"))
        yield ours


@pytest.fixture(scope="module")
def version(client: MlflowClient) -> ModelVersion:
    return registered(client, banded("people"))


def registered(client: MlflowClient, case: UseCase, scorer: Scorer | None = None) -> ModelVersion:
    data = provenance(SPLIT, by_time(), newest_version(client, case.name))
    with mlflow.start_run():
        return register_version(MlflowClient(), case, scorer or scorer_of(case), RESULT, data, INTERVALS)


def test_a_version_has_a_description_tags_and_the_alias(client: MlflowClient, version: ModelVersion) -> None:
    assert "Holdout: roc_auc 0.7000 (95% interval 0.6000 to 0.8000), 20 rows" in str(version.description)
    assert "Data: gold.t v3" in str(version.description)
    assert version.tags["holdout_roc_auc"] == "0.7000 (0.6000 to 0.8000)"
    assert version.tags["stage"] == "Development"
    challenger = version_of(client, "people", "challenger")
    assert challenger is not None
    assert challenger.version == version.version


def test_a_version_has_a_signature_an_example_and_the_code_of_its_hooks(version: ModelVersion) -> None:
    uri = f"models:/people/{version.version}"
    loaded = mlflow.pyfunc.load_model(uri)
    outputs = loaded.metadata.get_output_schema()
    assert outputs.input_names() == ["label", "probability", "band"]
    assert loaded.input_example is not None
    responses = loaded.predict(loaded.input_example).to_dict("records")
    assert nearly_equal(responses, loaded.metadata.metadata["golden_response"][:1])
    assert responses[0]["band"] == "high"
    files = Path(mlflow.artifacts.download_artifacts(uri))
    assert "def add_band(" in (files / "artifacts/postprocess.py").read_text(encoding="utf-8")
    assert json.loads((files / "serving_input_example.json").read_text(encoding="utf-8")).keys() == {
        "dataframe_split"
    }


WHOLE = {"amount": 2, "place": "Bonn", "known": 7}
RECORDS_OF_INTEGERS = [WHOLE, WHOLE | {"known": None}, WHOLE | {"amount": 2.5, "place": None}]


def test_pyfunc_takes_what_the_documentation_says(client: MlflowClient, version: ModelVersion) -> None:
    page = (PROJECT / "docs" / "training.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(model = mlflow\.pyfunc.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {"mlflow": mlflow, "pd": pd}
    exec(lines.replace("models:/term_deposit@", "models:/people@"), names)  # noqa: S102  (lines of our documentation)
    model, calls = names["model"], re.findall(r"^model\.predict\(.*\)$", lines, re.MULTILINE)
    assert len(calls) == 3
    for record in (names["record"], *RECORDS_OF_INTEGERS):
        expected = model.unwrap_python_model().respond([record])
        for call in calls[:2]:
            assert eval(call, names | {"record": record}).to_dict("records") == expected, call  # noqa: S307
    expected = model.unwrap_python_model().respond(RECORDS_OF_INTEGERS)
    for given in (
        RECORDS_OF_INTEGERS,
        pd.DataFrame(RECORDS_OF_INTEGERS),
        pd.DataFrame(RECORDS_OF_INTEGERS, dtype=object),
    ):
        assert model.predict(given).to_dict("records") == expected
    nullable = pd.DataFrame(RECORDS_OF_INTEGERS).astype({"known": "Int64"})
    assert model.predict(nullable).to_dict("records") == expected


# One task of each family; together they cover all tasks but the forecast, which has tests of its own.
TASKS_OF = {name: sorted(map(str, FAMILIES[name].tasks & TABULAR_TASKS)) for name in LOCAL}
FITTING = [(name, tasks[place % len(tasks)]) for place, (name, tasks) in enumerate(TASKS_OF.items()) if tasks]


def suiting(task: str, name: str) -> UseCase:
    plain = use_case("gold.people").model_dump() | {"name": name, "golden_request": RECORDS[0], "task": task}
    metric = metrics_of(TASKS[task])[-1]
    labels = plain["labels"] | {"classes": rows_of(task).classes if task == "multiclass" else ()}
    said = {"labels": labels, "split": {"folds": 2}, "serving": {"endpoint": name}}
    searched = {"families": ["knn"], "metric": metric}
    return UseCase.model_validate(plain | said | {"search": searched, "promotion": {"metric": metric, "minimum": 0}})


def candidate_of(family: str) -> Candidate:
    if family == "stack":
        return stack_candidate([candidate_of("knn"), candidate_of("catboost")], candidate_of("xgboost"))
    if family != "blend":
        return Candidate(family, dict(POINTS)[family])
    return blend_candidate([(0.25, candidate_of("knn")), (0.75, candidate_of("catboost"))])


@pytest.mark.parametrize(("family", "task"), FITTING)
def test_every_family_predicts_the_same_after_registration(client: MlflowClient, family: str, task: str) -> None:
    case = suiting(task, f"{family}_of_people")
    data, candidate = splits.split(rows_of(task), case.split), candidate_of(family)
    if layers := stack_layers(candidate):
        data = replace(data, training=with_predictions(data.training, *layers[0]))
    parts = list(splits.folds(data.training, case.split, 0))
    winner = Attempt(parts, case.search.seed, case.response_format.threshold)(SearchTask(1, candidate))
    assert winner.status == "ok", winner.error
    scorer = refit(case, winner, data.training).scorer
    ours = compile_scorer(scorer, data.holdout.features).applied_to(scorer)
    with mlflow.start_run():
        source = provenance(data, case.split, None)
        version = register_version(MlflowClient(), case, ours, SearchResult((winner,), "complete"), source, {})
    read = mlflow.pyfunc.load_model(f"models:/{version.name}/{version.version}").unwrap_python_model()
    assert version.tags["family"] == family
    records = [*RECORDS, *in_records(data.holdout)]
    assert read.respond(records) == ours.respond(records)


def in_records(rows: TrainingFrame) -> list[dict[str, Any]]:
    """Raw values of rows, as a caller sends them."""
    places = rows.encoder.vocabularies["gold.place_index"]
    columns = (rows.features[name].tolist() for name in ("amount", "place_index", "known"))
    return [{"amount": a, "place": places[int(p)] or None, "known": k} for a, p, k in zip(*columns, strict=True)]


@dataclass(frozen=True)
class CutOff(Scorer):
    """A scorer whose files are truncated."""

    def save(self, folder: Path) -> dict[str, str]:
        artifacts = super().save(folder)
        file = Path(artifacts["pipeline.skops"])
        file.write_bytes(file.read_bytes()[:-100])
        return artifacts


@dataclass(frozen=True)
class Confused(Scorer):
    """A scorer that saves another model."""

    def save(self, folder: Path) -> dict[str, str]:
        other = fit(CANDIDATE, alternating(40, seed=5), 0)
        return Scorer(other, self.encoder, self.response_format, self.hooks).save(folder)


@pytest.mark.parametrize(("kind", "message"), [(CutOff, "are damaged"), (Confused, "they predict")])
def test_damaged_files_are_not_registered(client: MlflowClient, kind: type[Scorer], message: str) -> None:
    case = banded("damaged")
    whole = scorer_of(case)
    with pytest.raises(VersionDamaged, match=message):
        registered(client, case, kind(whole.pipeline, whole.encoder, whole.response_format, whole.hooks))
    assert newest_version(client, "damaged") is None
    assert version_of(client, "damaged", "challenger") is None


def test_an_alias_that_cannot_be_set_leaves_the_challenger_unchanged(
    client: MlflowClient, version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any, **__: Any) -> None:
        raise ConnectionError("the registry is down")

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", down)
    with pytest.raises(ConnectionError):
        registered(client, banded("people"))
    challenger = version_of(client, "people", "challenger")
    assert challenger is not None
    assert challenger.version == version.version


SCRIPT = """
import json, sys, mlflow.pyfunc
model = mlflow.pyfunc.load_model(sys.argv[1])
records = json.loads(sys.argv[2])
import pandas as pd, scoring
print(json.dumps({
    "responses": model.unwrap_python_model().respond(records),
    "framed": model.predict(pd.DataFrame(records)).to_dict("records"),
    "scoring": scoring.__file__,
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
}))
"""
WITHOUT = {"pyspark", "pysail", "dbt", "hyperopt", "deltalake", "lightgbm", "granian"}


def test_a_version_loads_with_only_its_requirements_installed(version: ModelVersion, tmp_path: Path) -> None:
    uri = f"models:/people/{version.version}"
    files = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path)))
    listed = (files / "requirements.txt").read_text(encoding="utf-8").split()
    packages = clean_environment.build(tmp_path / "packages", listed)
    assert [name for name in WITHOUT if (packages / name).exists()] == []
    records = [record | {"known": float(record["known"] or 0)} for record in RECORDS]
    said = json.loads(clean_environment.run(packages, SCRIPT, str(files), json.dumps(records), cwd=tmp_path))
    expected = scorer_of(banded("people")).respond(records)
    assert said["responses"] == expected
    assert said["framed"] == expected
    assert said["scoring"].startswith(str(files / "code"))
    assert WITHOUT & set(said["modules"]) == set()
