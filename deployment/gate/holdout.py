"""Holdout for comparing challenger and champion: pinned at training time, rebuilt at promotion time."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from mlflow.entities.model_registry import ModelVersion
from pyspark.errors import PySparkException

from deployment.gate.criteria.decision import HoldoutRows
from lakehouse.errors import LakehouseError, nearest
from lakehouse.tables.scan import RowsUnreadable
from training.feature_store.store import FeatureReader
from training.frame.build import load_frame
from training.frame.frame import TrainingFrame
from training.frame.on_spark import OnSpark
from training.frame.provenance import NoProvenance, Provenance
from training.frame.splits import split
from training.use_case.split import hashed_below
from training.use_case.use_case import UseCase


class HoldoutRefused(LakehouseError):
    """A fair comparison of challenger and champion is not possible."""

    @classmethod
    def changed(cls, version: ModelVersion, expected: str, actual: str) -> "HoldoutRefused":
        return cls(
            f"the holdout of version {version.version} has changed: its rows hash to {actual[:12]},"
            f" not {expected[:12]}",
            hint=f"Train again on the current tables: {_training_command(version)}",
        )

    @classmethod
    def unreadable(cls, version: ModelVersion, reason: Exception) -> "HoldoutRefused":
        return cls(
            f"the holdout of version {version.version} can no longer be read: {reason}",
            hint=f"Train again on the current tables: {_training_command(version)}",
        )

    @classmethod
    def seen(cls, version: str, until: str, start: str) -> "HoldoutRefused":
        return cls(
            f"version {version} was trained on rows up to {until}, but the challenger's holdout begins at {start}",
            hint="Train a challenger on newer data, with a holdout that neither version has seen.",
        )

    @classmethod
    def no_slice(cls, column: str, known: list[str]) -> "HoldoutRefused":
        return cls(
            f"the holdout has no column '{column}' for slices. {nearest(column, known)}",
            hint="Fix promotion.guards.slices in the use case.",
        )


@dataclass(frozen=True)
class Holdout:
    """Rows for the comparison.

    Attributes:
        rows: the rows, with the features of the challenger.
        fingerprint: their SHA-256.
        excluded: number of pinned rows that the champion was trained on.
        unanswered: number of further rows for which the champion has no features.
    """

    rows: TrainingFrame
    fingerprint: str
    excluded: int = 0
    unanswered: int = 0

    def complete(self, complete: npt.NDArray[np.bool_]) -> "Holdout":
        """Keep the rows for which the champion has all features."""
        if complete.all():
            return self
        rows = self.rows.rows(complete)
        return replace(self, rows=rows, fingerprint=rows.fingerprint(), unanswered=int((~complete).sum()))

    def as_rows(self, use_case: UseCase) -> HoldoutRows:
        """Rows in the form that the decision needs.

        Raises:
            HoldoutRefused: A slice column is missing.
        """
        columns, features = use_case.promotion.guards.slices, self.rows.features
        for column in columns:
            if column not in features:
                raise HoldoutRefused.no_slice(column, list(features))
        slices = {column: features[column] for column in columns}
        return HoldoutRows(
            use_case.task,
            self.fingerprint,
            self.rows.y,
            slices,
            self.excluded,
            self.unanswered,
            self.rows.dependence,
            self._category_names(columns),
        )

    def _category_names(self, columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Names of the values of each column that is an encoding's only feature, and has categories."""
        encoder, features = self.rows.encoder, self.rows.features
        of_column = {each.features[0]: each for each in encoder.encodings if len(each.features) == 1}
        found = {
            column: of_column[column].row_categories(features, encoder.vocabularies)
            for column in columns
            if column in of_column
        }
        return {column: categories.names for column, categories in found.items() if categories is not None}


def rebuild(use_case: UseCase, challenger: ModelVersion, store: FeatureReader) -> Holdout:
    """Rebuild the challenger's holdout from the Delta versions that it was split from.

    Raises:
        HoldoutRefused: The rows are missing or have changed, or the challenger was trained on them.
    """
    pinned = provenance_of(challenger)
    if pinned.overlaps_holdout(pinned):
        raise HoldoutRefused.seen(str(challenger.version), str(pinned.last), str(pinned.holdout_from))
    try:
        frame = load_frame(use_case, store, pinned.sources, on_spark=OnSpark(collect=False))
        with closing(split(frame, use_case.split)) as parts:
            rows = parts.holdout.collected()
    except (PySparkException, RowsUnreadable, OSError) as err:
        raise HoldoutRefused.unreadable(challenger, err) from err
    fingerprint = rows.fingerprint(like=pinned.holdout_fingerprint)
    if fingerprint != pinned.holdout_fingerprint:
        raise HoldoutRefused.changed(challenger, pinned.holdout_fingerprint, fingerprint)
    return Holdout(rows, fingerprint)


def exclude_seen(
    holdout: Holdout, champion: ModelVersion, challenger: ModelVersion, overlap: Literal["exclude", "refuse"]
) -> Holdout:
    """Keep the holdout rows that the champion was not trained on.

    Raises:
        HoldoutRefused: The champion was trained on holdout rows, and `overlap` is `refuse` or no rows are left.
    """
    trained, pinned = provenance_of(champion), provenance_of(challenger)
    unseen = _unseen_mask(holdout.rows, trained, pinned)
    if unseen.all():
        return holdout
    if overlap == "refuse" or not unseen.any():
        start = holdout.rows.first.isoformat()
        raise HoldoutRefused.seen(str(champion.version), trained.last.isoformat(), start)
    rows = holdout.rows.rows(unseen)
    return replace(holdout, rows=rows, fingerprint=rows.fingerprint(), excluded=int((~unseen).sum()))


def seen_rows(holdout: Holdout, version: ModelVersion, challenger: ModelVersion) -> int:
    """Number of the rows that a version was trained on.

    Raises:
        HoldoutRefused: The version was not registered by this project.
    """
    return int((~_unseen_mask(holdout.rows, provenance_of(version), provenance_of(challenger))).sum())


def _unseen_mask(rows: TrainingFrame, trained: Provenance, pinned: Provenance) -> npt.NDArray[np.bool_]:
    if not trained.overlaps_holdout(pinned):
        return np.ones(len(rows), dtype=np.bool_)
    if trained.holdout_entities is not None and pinned.holdout_entities is not None:
        return hashed_below(rows.keys, trained.holdout_entities)
    return np.asarray(rows.times > np.datetime64(trained.last.replace(tzinfo=None), "us"))


def provenance_of(version: ModelVersion) -> Provenance:
    """Read the provenance of a version.

    Raises:
        HoldoutRefused: The version was registered by another tool.
    """
    try:
        return Provenance.from_tags(version.tags)
    except NoProvenance as err:
        raise HoldoutRefused(
            f"version {version.version} was not registered by this project: {err}",
            hint=f"Train a version: {_training_command(version)}",
        ) from err


def _training_command(version: ModelVersion) -> str:
    """Command that trains a new version; the last part of a Unity Catalog name is the use case."""
    return f"python -m training.run --use-case {version.name.rpartition('.')[2]}"
