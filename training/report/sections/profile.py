"""The inputs: their profile on the training rows and on the holdout, drift, and suspects of a leak."""

from collections.abc import Sequence

from lakehouse.wording import number_of
from training.report.charts.sparklines import histogram
from training.report.evidence import Evidence
from training.report.page import (
    Block,
    Cell,
    Column,
    Paragraph,
    Table,
    WarningNote,
    drawing_cell,
    number_cell,
    prose_cell,
    text_cell,
)
from training.report.profile import DEPTH_ALONE, DRIFTED, SUSPECT, InputProfile, profiles
from training.report.wording import metric_name

ALONE_SECONDS = 3.0
MOST_DRAWN = 100  # inputs with a drawing: each takes about 3 KiB of the page


def blocks(evidence: Evidence) -> Sequence[Block]:
    """The table of all inputs, and a warning for each suspect of a leak."""
    found = profiles(evidence.scorer.encoder, evidence.sampled, evidence.seed, ALONE_SECONDS)
    if not found:
        return (Paragraph("The model reads no input."),)
    metric = found[0].alone_metric
    training, holdout = len(evidence.sampled.training), len(evidence.sampled.holdout)
    explanation = Paragraph(
        f"Every input on {training:,} training rows (bars) and {holdout:,} holdout rows (line). Drift is the share "
        "of the holdout's rows that would have to move for the distributions to be equal; from "
        f"{DRIFTED:.0%} on, and twice what chance gives, it is named. Alone: {metric_name(metric)} "
        f"of a tree of depth {DEPTH_ALONE} on this input alone, fitted on one half of the training rows and measured "
        f"on the other. From {SUSPECT[metric]:.2f} on the input may be known only after the label: a leak."
    )
    return (explanation, *map(_warning, (each for each in found if each.is_suspect)), _table(found))


def _warning(profile: InputProfile) -> WarningNote:
    return WarningNote(
        f"{profile.name} predicts the label almost alone ({metric_name(profile.alone_metric)} {profile.alone:.4f}). "
        "Check whether it is known at the time of a request. If it is not, exclude it in the use case: "
        f"features: - {{table: ..., exclude: [{profile.name}]}}"
    )


def _table(found: Sequence[InputProfile]) -> Table:
    columns = (
        Column("Input", "text"),
        Column("Type", "text"),
        Column("Missing", tooltip="Share of the training rows"),
        Column("in holdout", tooltip="Share of the holdout's rows"),
        Column("Distinct", tooltip="Distinct known values in training"),
        Column("Distribution", "drawn", "Bars: training rows. Line: holdout."),
        Column("Drift", tooltip="Share of the holdout that would have to move for equal distributions"),
        Column("Alone", tooltip=f"{metric_name(found[0].alone_metric)} of this input alone"),
        Column("Remark", "prose"),
    )
    drawn = {profile.name for profile in found[:MOST_DRAWN]}
    rows = [_row(profile, drawn=profile.name in drawn) for profile in found]
    marked = frozenset(index for index, profile in enumerate(found) if profile.is_suspect)
    return Table(
        f"{number_of('input', len(found))} of the model; suspects of a leak are highlighted", columns, rows, marked
    )


def _row(profile: InputProfile, *, drawn: bool) -> tuple[Cell, ...]:
    shares = profile.distribution
    drawing = drawing_cell(histogram(shares.names, shares.training, shares.holdout), profile.drift)
    return (
        text_cell(profile.name),
        text_cell(profile.kind),
        number_cell(profile.missing, ".1%"),
        number_cell(profile.missing_in_holdout, ".1%"),
        number_cell(profile.distinct, ",d"),
        drawing if drawn else number_cell(float("nan")),
        number_cell(profile.drift, ".1%"),
        number_cell(profile.alone, ".4f"),
        prose_cell("; ".join(_remarks(profile))),
    )


def _remarks(profile: InputProfile) -> list[str]:
    remarks = ["suspect of a leak"] if profile.is_suspect else []
    if profile.has_drifted:
        shares = profile.distribution
        change = shares.holdout * (1 - profile.missing_in_holdout) - shares.training * (1 - profile.missing)
        names = [*shares.names, "missing"]
        changes = [*change.tolist(), profile.missing_in_holdout - profile.missing]
        at = max(range(len(names)), key=lambda index: abs(changes[index]))
        remarks.append(f"drift, most at {names[at]}: {changes[at]:+.1%} of the rows")
    return remarks
