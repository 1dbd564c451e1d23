"""The section of a report for each task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from training.report.evidence import Evidence
from training.report.page import Block
from training.report.sections import binary, forecast, multiclass, regression


@dataclass(frozen=True)
class ReportSection:
    """A section of the page."""

    anchor: str
    title: str
    blocks: Callable[[Evidence], Sequence[Block]]


TASK_SECTIONS: Mapping[str, ReportSection] = {
    "binary": ReportSection("curves", "Curves and decisions", binary.blocks),
    "multiclass": ReportSection("classes", "Classes", multiclass.blocks),
    "regression": ReportSection("errors", "Errors", regression.blocks),
    "forecast": ReportSection("forecasts", "Forecasts", forecast.blocks),
}
