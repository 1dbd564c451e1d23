"""The frame of a version as its use case declared it, stored with the version: a later use case may differ."""

from collections.abc import Mapping
from typing import Any

from training.use_case.split import SplitPlan
from training.use_case.use_case import LabelTable, LookupDeclaration, UseCase

FRAME = "frame"  # key of a version's metadata


def frame_declaration(use_case: UseCase) -> dict[str, Any]:
    """Labels, feature tables and split of a use case, as JSON."""
    return use_case.model_dump(mode="json", include={"labels", "features", "split"}, exclude_defaults=True)


def with_frame_of(use_case: UseCase, metadata: Mapping[str, Any]) -> UseCase:
    """The use case with the frame of a version; unchanged for a version of an earlier release, which has none."""
    recorded = metadata.get(FRAME)
    if recorded is None:
        return use_case
    return use_case.model_copy(
        update={
            "labels": LabelTable.model_validate(recorded["labels"]),
            "features": tuple(LookupDeclaration.model_validate(each) for each in recorded["features"]),
            "split": SplitPlan.model_validate(recorded.get("split", {})),
        }
    )
