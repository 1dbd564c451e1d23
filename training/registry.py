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

from lakehouse.console import number_of
from lakehouse.errors import LakehouseError
from lakehouse.settings import PROJECT
from scoring.digest import DIGEST, digest
from scoring.key_lookup import KeyedRows, KeyLookup
from scoring.scorer import Scorer
from training.golden import golden_rows
from training.intervals import Interval
from training.models import FAMILIES
from training.provenance import Provenance
from training.refitting import Refitted
from training.search.blend import in_words
from training.search.joint import Candidate
from training.search.left_out import left_out, others
from training.search.loop import Found
from training.signature import input_example, requirements, signature
from training.use_case import UseCase
from training.versions import CHALLENGER, model_of

CODE = [str(PROJECT / package) for package in ("lakehouse", "scoring")]  # travels with every version

_CUT_SHORT = {
    "out_of_time": " of a search that ran out of time",
    "interrupted": " of a search that was interrupted",
}


class VersionDamaged(LakehouseError):
    """What was written does not answer as what was meant to be written."""

    @classmethod
    def of(cls, name: str, reason: object) -> "VersionDamaged":
        return cls(
            f"the files of {name} were not written whole: {reason}",
            hint="Nothing was registered. Look at the space and permissions of MLflow's artifacts, then train again.",
        )


def register(
    use_case: UseCase,
    refitted: Refitted,
    found: Found,
    data: Provenance,
    holdout: Mapping[str, Interval],
    **tags: str,
) -> ModelVersion:
    """Log the refitted best of a search to the active run; register it as the challenger, with `tags` beside its own.

    The files are read back before there is a version, and the alias comes last: what was not written whole is never
    the challenger.

    Raises:
        VersionDamaged: what was written does not answer the golden rows as the scorer does.
    """
    client, winner = MlflowClient(), found.best(use_case.search.metric)
    logged = _write(use_case, refitted.scorer)
    if model_of(client, use_case.name) is None:
        client.create_registered_model(use_case.name)
    version = client.create_model_version(
        use_case.name,
        source=logged.model_uri,
        run_id=logged.run_id,
        model_id=logged.model_id,  # by which a server trusts the source
        description=describe(found, use_case, data, holdout, refitted.told),
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


def describe(
    found: Found,
    use_case: UseCase,
    data: Provenance,
    holdout: Mapping[str, Interval],
    told: Sequence[str] = (),
) -> str:
    """The version in words: which hyperparameters and inputs, how good and how sure, and which new data.

    Args:
        told: what else is to be said of it, in sentences.
    """
    winner = found.best(use_case.search.metric)
    chosen = Candidate(winner.candidate.family, others(winner.candidate.params))
    params = in_words(chosen, _shown)
    passed_over = left_out(winner.candidate.params)
    without = f"It leaves out {_listed(passed_over)}. " if passed_over else ""
    more = "".join(f"{sentence} " for sentence in told)
    tables = ", ".join(f"{table} (version {version})" for table, version in sorted(data.sources.items()))
    sure = ", ".join(f"{name} {interval}" for name, interval in holdout.items())
    confidence = next((f"{interval.confidence:.0%}" for interval in holdout.values()), "")
    return (
        f"{FAMILIES[winner.candidate.family].heading} with {params}. {without}"
        f"{use_case.search.metric} {winner.metrics[use_case.search.metric]:.4f} "
        f"{_of_folds(len(winner.per_fold), use_case)}, the best of {number_of('trial', len(found.tried))}"
        f"{_CUT_SHORT.get(found.ended, '')}. {_no_worse(found.guessed(use_case.search.metric))}"
        f"On the {data.holdout_rows:,} rows of the holdout {sure}, with bounds of {confidence} confidence. {more}"
        f"Trained on {data.rows:,} rows from {data.first:%Y-%m-%d} to {data.last:%Y-%m-%d} ({_news(data)}). "
        f"Read from {tables}."
    )


def _of_folds(folds: int, use_case: UseCase) -> str:
    return f"as the mean of {folds} folds {use_case.split.told}" if folds > 1 else "on one fold"


def _no_worse(guessed: float | None) -> str:
    return "" if guessed is None else f"Guessing is no worse, and reaches {guessed:.4f}. "


def _news(data: Provenance) -> str:
    if data.new_rows is None:
        return "the first version"
    since = f", from {data.new_from:%Y-%m-%d} on" if data.new_from else ""
    return f"{data.new_rows:,} rows newer than the version before{since}"


def _listed(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
