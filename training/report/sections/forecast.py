"""Errors of forecasts by step of the horizon, with the measured coverage of their bounds."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.predictions import QUANTILES, values
from training.evaluation.metrics import absolute_scaled_errors, within_bounds
from training.evaluation.weighted_metrics import ScoredRows
from training.report.evidence import Evidence
from training.report.page import Block, Column, Table, number_cell
from training.report.sections.regression import error_blocks
from training.report.wording import HOLDOUT, VALIDATION


def blocks(evidence: Evidence) -> Sequence[Block]:
    """Coverage and scaled errors at each step of the horizon, and the errors in the unit of the label."""
    row_sets = {VALIDATION: evidence.validation, HOLDOUT: evidence.holdout}
    errors = error_blocks({name: replace(rows, predicted=values(rows.predicted)) for name, rows in row_sets.items()})
    declared, data = evidence.use_case.forecast, evidence.data
    if declared is None:
        return errors
    return (steps_table(evidence.holdout, data.holdout.features[declared.step]), *errors)


def steps_table(rows: ScoredRows, steps: npt.NDArray[Any]) -> Table:
    """Rows, MASE and coverage of the holdout at each step."""
    errors, inside = absolute_scaled_errors(rows.labels, rows.predicted), within_bounds(rows.labels, rows.predicted)
    low, high = QUANTILES
    columns = [Column("Step"), Column("Rows"), Column("MASE"), Column(f"Within {high - low:.0%} bounds")]
    lines = [
        (
            number_cell(float(step), "g"),
            number_cell(int((at := steps == step).sum()), ",d"),
            number_cell(float(errors[at].mean())),
            number_cell(float(inside[at].mean()), ".1%"),
        )
        for step in np.unique(steps).tolist()
    ]
    return Table(f"Steps of the horizon, {HOLDOUT}", columns, lines)
