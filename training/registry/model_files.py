"""The winner as a registered version: files, tags, alias, and a description in words."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlflow
import mlflow.artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.models.model import ModelInfo
from mlflow.tracking import MlflowClient

from lakehouse.errors import LakehouseError
from lakehouse.settings import PROJECT
from scoring.digest import DIGEST, digest
from scoring.key_lookup import KeyedRows, KeyLookup
from scoring.scorer import Scorer
from training.evaluation.bootstrap import Interval
from training.frame.provenance import Provenance
from training.registry.description import describe
from training.registry.golden_rows import golden_rows
from training.registry.signature import input_example, requirements, signature
from training.registry.versions import CHALLENGER, model_of
from training.search.result import SearchResult
from training.space.left_out_inputs import left_out
from training.use_case.use_case import UseCase

CODE = [str(PROJECT / package) for package in ("lakehouse", "scoring")]  # travels with every version


class VersionDamaged(LakehouseError):
    """What was written does not answer as what was meant to be written."""

    @classmethod
    def of(cls, name: str, reason: object) -> "VersionDamaged":
        return cls(
            f"the files of {name} were not written whole: {reason}",
            hint="Nothing was registered. Look at the space and permissions of MLflow's artifacts, then train again.",
        )


def register_version(  # noqa: PLR0913, PLR0917  (what a version is made of)
    use_case: UseCase,
    scorer: Scorer,
    found: SearchResult,
    data: Provenance,
    holdout: Mapping[str, Interval],
    notes: Sequence[str] = (),
    **tags: str,
) -> ModelVersion:
    """Log the refitted best of a search to the active run; register it as the challenger, with `tags` beside its own.

    The files are read back before there is a version, and the alias comes last: what was not written whole is never
    the challenger.

    Raises:
        VersionDamaged: what was written does not answer the golden rows as the scorer does.
    """
    client, winner = MlflowClient(), found.best(use_case.search.metric)
    logged = _write(use_case, scorer)
    if model_of(client, use_case.name) is None:
        client.create_registered_model(use_case.name)
    version = client.create_model_version(
        use_case.name,
        source=logged.model_uri,
        run_id=logged.run_id,
        model_id=logged.model_id,  # by which a server trusts the source
        description=describe(found, use_case, data, holdout, notes),
        tags={
            "stage": "Development",
            "family": winner.candidate.family,
            DIGEST: _digest(logged.model_uri),
            "left_out": ", ".join(left_out(winner.candidate.params)),
            **{f"holdout.{name}": str(interval) for name, interval in holdout.items()},
            **data.tags(),
            **tags,
        },
    )
    client.set_registered_model_alias(use_case.name, CHALLENGER, version.version)
    return version


def _digest(uri: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return digest(Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder)))


def _write(use_case: UseCase, scorer: Scorer) -> ModelInfo:
    """The scorer's files in MLflow, after they have answered the golden rows."""
    golden = golden_rows(use_case.golden_request, scorer)
    answers, passes = scorer.answer(golden), signature(scorer)
    with tempfile.TemporaryDirectory() as folder:
        # The requirements are given, or MLflow would run the model for seconds to find them.
        logged: ModelInfo = mlflow.pyfunc.log_model(
            name=use_case.name,
            python_model=str(PROJECT / "scoring" / "served_model.py"),
            artifacts=scorer.save(Path(folder)),
            code_paths=CODE,
            signature=passes,
            input_example=input_example(use_case.golden_request, passes.inputs),
            pip_requirements=requirements(scorer),
            metadata={"golden_request": golden, "golden_answer": answers, **_serving(use_case, scorer)},
        )
    try:
        found = mlflow.pyfunc.load_model(logged.model_uri).unwrap_python_model().answer(golden)
    except Exception as err:  # of damaged files, every reader says something else
        raise VersionDamaged.of(use_case.name, err) from err
    if found != answers:
        raise VersionDamaged.of(use_case.name, f"they answer {found}, and not {answers}")
    return logged


def _serving(use_case: UseCase, scorer: Scorer) -> dict[str, Any]:
    """What an endpoint must know beside how to answer.

    Raises:
        ContractViolation: what the use case says of an unknown key is no record that the model takes.
    """
    said: dict[str, Any] = {"request_log": use_case.serving.request_log.model_dump(mode="json")}
    if (wanted := use_case.serving.lookup) is None:
        return said
    lookup = KeyLookup(
        keys=use_case.labels.keys,
        tables={each.table: each.exclude for each in use_case.features},
        lookback_days={each.table: each.lookback_days for each in use_case.features if each.lookback_days},
        unknown=wanted.unknown,
        defaults=wanted.defaults,
    )
    KeyedRows(lookup, scorer.encoder, lambda _table, _key: None)
    return said | {"lookup": json.loads(json.dumps(asdict(lookup)))}
