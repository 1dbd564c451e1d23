"""The rows that challenger and champion are judged on: pinned when the challenger was trained, built again now."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from mlflow.entities.model_registry import ModelVersion
from pyspark.errors import PySparkException

from deployment.gate.decision import HoldoutRows
from lakehouse.errors import LakehouseError, nearest
from training.feature_store import FeatureStore
from training.frame.build import load_frame
from training.frame.frame import TrainingFrame
from training.frame.provenance import NoProvenance, Provenance
from training.frame.splits import hashed_below, split
from training.use_case.use_case import UseCase


class HoldoutRefused(LakehouseError):
    """The challenger and the champion cannot be compared fairly."""

    @classmethod
    def changed(cls, version: ModelVersion, expected: str, found: str) -> "HoldoutRefused":
        return cls(
            f"the holdout of version {version.version} has changed: its rows hash to {found[:12]},"
            f" not {expected[:12]}",
            hint=f"Train again on the tables as they are: {_training(version)}",
        )

    @classmethod
    def unreadable(cls, version: ModelVersion, reason: Exception) -> "HoldoutRefused":
        return cls(
            f"the holdout of version {version.version} cannot be read any more: {reason}",
            hint=f"Train again on the tables as they are: {_training(version)}",
        )

    @classmethod
    def seen(cls, version: str, until: str, start: str) -> "HoldoutRefused":
        return cls(
            f"version {version} was trained on rows up to {until}, and the challenger's holdout begins at {start}",
            hint="Train a challenger on newer data, so that neither has seen the holdout.",
        )

    @classmethod
    def no_slice(cls, column: str, known: list[str]) -> "HoldoutRefused":
        return cls(
            f"the holdout has no column '{column}' to cut slices by. {nearest(column, known)}",
            hint="Correct promotion.guards.slices in the use case.",
        )


@dataclass(frozen=True)
class Holdout:
    """Rows and their hash, and how many of the pinned ones were left out since the champion was trained on them."""

    rows: TrainingFrame
    fingerprint: str
    excluded: int = 0

    def as_rows(self, use_case: UseCase) -> HoldoutRows:
        """What the decision looks at.

        Raises:
            HoldoutRefused: a column of a slice is not there.
        """
        columns, features = use_case.promotion.guards.slices, self.rows.features
        for column in columns:
            if column not in features:
                raise HoldoutRefused.no_slice(column, list(features))
        slices = {column: features[column] for column in columns}
        return HoldoutRows(use_case.task, self.fingerprint, self.rows.y, slices, self.excluded)


def rebuild(use_case: UseCase, challenger: ModelVersion, store: FeatureStore) -> Holdout:
    """The challenger's holdout from the Delta versions it was cut from.

    Raises:
        HoldoutRefused: the rows are gone or not the same any more, or the challenger was trained on them.
    """
    pinned = _provenance(challenger)
    if pinned.saw(pinned):
        raise HoldoutRefused.seen(str(challenger.version), str(pinned.last), str(pinned.holdout_from))
    try:
        frame = load_frame(use_case, store, pinned.sources)
    except (PySparkException, OSError) as err:
        raise HoldoutRefused.unreadable(challenger, err) from err
    rows = split(frame, use_case.split).holdout
    fingerprint = rows.fingerprint()
    if fingerprint != pinned.holdout_fingerprint:
        raise HoldoutRefused.changed(challenger, pinned.holdout_fingerprint, fingerprint)
    return Holdout(rows, fingerprint)


def unseen(
    holdout: Holdout, champion: ModelVersion, challenger: ModelVersion, overlap: Literal["exclude", "refuse"]
) -> Holdout:
    """The rows that the champion was not trained on.

    Raises:
        HoldoutRefused: it was trained on others, and that is to be refused, or no rows are left.
    """
    trained, pinned = _provenance(champion), _provenance(challenger)
    new = _unseen(holdout.rows, trained, pinned)
    if new.all():
        return holdout
    if overlap == "refuse" or not new.any():
        start = holdout.rows.first.isoformat()
        raise HoldoutRefused.seen(str(champion.version), trained.last.isoformat(), start)
    rows = holdout.rows.rows(new)
    return replace(holdout, rows=rows, fingerprint=rows.fingerprint(), excluded=int((~new).sum()))


def _unseen(rows: TrainingFrame, trained: Provenance, pinned: Provenance) -> npt.NDArray[np.bool_]:
    if not trained.saw(pinned):
        return np.ones(len(rows), dtype=np.bool_)
    if trained.holdout_entities is not None and pinned.holdout_entities is not None:
        return hashed_below(rows.keys, trained.holdout_entities)
    return np.asarray(rows.times > np.datetime64(trained.last.replace(tzinfo=None), "us"))


def _provenance(version: ModelVersion) -> Provenance:
    try:
        return Provenance.of_tags(version.tags)
    except NoProvenance as err:
        raise HoldoutRefused(
            f"version {version.version} was not registered by this project: {err}",
            hint=f"Train a version: {_training(version)}",
        ) from err


def _training(version: ModelVersion) -> str:
    """The command that trains another one; of a model of Unity Catalog the last part names the use case."""
    return f"python -m training.run --use-case {version.name.rpartition('.')[2]}"
