"""Registration of the winner as a version: files, tags, description and alias."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import mlflow
import mlflow.artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.models.model import ModelInfo
from mlflow.tracking import MlflowClient

from lakehouse.errors import LakehouseError
from lakehouse.settings import PACKAGES
from scoring.digest import DIGEST, digest
from scoring.key_lookup import KeyedRows, KeyLookup
from scoring.scorer import Scorer
from training.evaluation.bootstrap import Interval
from training.frame.provenance import Provenance
from training.population.population import Population
from training.registry.description import describe
from training.registry.frame_declaration import FRAME, frame_declaration
from training.registry.golden_rows import golden_rows
from training.registry.signature import input_example, requirements, signature
from training.registry.versions import CHALLENGER, model_of
from training.search.result import SearchResult
from training.space.left_out_inputs import left_out_inputs
from training.use_case.use_case import UseCase

CODE = [str(PACKAGES / package) for package in ("lakehouse", "scoring")]  # copied into every version


class VersionDamaged(LakehouseError):
    """The written files do not reproduce the golden predictions."""

    @classmethod
    def of(cls, name: str, reason: object) -> "VersionDamaged":
        return cls(
            f"the files of {name} are damaged: {reason}",
            hint="Nothing was registered. Check disk space and permissions of MLflow's artifacts, then train again.",
        )


def register_version(  # noqa: PLR0913, PLR0917  (the content of a version)
    client: MlflowClient,
    use_case: UseCase,
    scorer: Scorer,
    result: SearchResult,
    data: Provenance,
    holdout: Mapping[str, Interval],
    notes: Sequence[str] = (),
    baseline: Mapping[str, float] = MappingProxyType({}),
    population: Population | None = None,
    **tags: str,
) -> ModelVersion:
    """Log the refitted winner to the active run, and register it as the challenger.

    The files are read back before the version is created, and the alias is set last: a damaged version never becomes
    the challenger.

    Args:
        holdout: metrics on the holdout, by name.
        notes: further lines of the description.
        baseline: metrics of the baseline on the holdout, by name.
        population: counts with which monitoring compares live traffic; a version without them is not monitored.
        tags: further tags of the version.

    Raises:
        VersionDamaged: the written files do not reproduce the scorer's predictions of the golden rows.
    """
    winner = result.best(use_case.search.metric)
    logged = _write(use_case, scorer, population)
    if model_of(client, use_case.name) is None:
        client.create_registered_model(use_case.name)
    version = client.create_model_version(
        use_case.name,
        source=logged.model_uri,
        run_id=logged.run_id,
        model_id=logged.model_id,  # lets a server trust the source
        description=describe(result, use_case, data, holdout, notes, baseline),
        tags={
            "stage": "Development",
            "family": winner.candidate.family,
            DIGEST: _digest(logged.model_uri),
            "left_out": ", ".join(left_out_inputs(winner.candidate.params)),
            **{f"holdout_{name}": str(interval) for name, interval in holdout.items()},
            **data.tags(),
            **tags,
        },
    )
    client.set_registered_model_alias(use_case.name, CHALLENGER, version.version)
    return version


def _digest(uri: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return digest(Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder)))


def _write(use_case: UseCase, scorer: Scorer, population: Population | None) -> ModelInfo:
    """Write the scorer's files to MLflow, and check that they reproduce the golden predictions."""
    golden = golden_rows(use_case.golden_request, scorer)
    responses, passes = scorer.respond(golden), signature(scorer)
    with tempfile.TemporaryDirectory() as folder:
        # Without explicit requirements MLflow would run the model for seconds to infer them.
        logged: ModelInfo = mlflow.pyfunc.log_model(
            name=use_case.name,
            python_model=str(PACKAGES / "scoring" / "served_model.py"),
            artifacts=scorer.save(Path(folder)) | ({} if population is None else population.save(Path(folder))),
            code_paths=CODE,
            signature=passes,
            input_example=input_example(use_case.golden_request, passes.inputs),
            pip_requirements=requirements(scorer),
            metadata={
                "golden_request": golden,
                "golden_response": responses,
                FRAME: frame_declaration(use_case),
                **_serving(use_case, scorer),
            },
        )
    try:
        reloaded = mlflow.pyfunc.load_model(logged.model_uri).unwrap_python_model().respond(golden)
    except Exception as err:  # of damaged files, every reader says something else
        raise VersionDamaged.of(use_case.name, err) from err
    if reloaded != responses:
        raise VersionDamaged.of(use_case.name, f"they predict {reloaded}, not {responses}")
    return logged


def _serving(use_case: UseCase, scorer: Scorer) -> dict[str, Any]:
    """Settings of the endpoint that travel with the version.

    Raises:
        ContractViolation: the defaults of the lookup are not a record that the model accepts.
    """
    settings: dict[str, Any] = {"request_log": use_case.serving.request_log.model_dump(mode="json")}
    if (declared := use_case.serving.lookup) is None:
        return settings
    lookup = KeyLookup(
        keys=use_case.labels.keys,
        tables={source.table: source.exclude for source in use_case.features},
        lookback_days={source.table: source.lookback_days for source in use_case.features if source.lookback_days},
        unknown=declared.unknown,
        defaults=declared.defaults,
    )
    KeyedRows(lookup, scorer.encoder, lambda _table, _key: None)
    return settings | {"lookup": json.loads(json.dumps(asdict(lookup)))}
