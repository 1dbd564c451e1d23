"""One model of a comparison: its predictions of the same rows, the time of its fit and that of a response."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import cycle
from time import process_time, process_time_ns

import numpy as np
from sklearn.pipeline import Pipeline

from benchmarks.quality.ours import MOST_MEMBERS
from lakehouse.arrays import Floats, MatrixFormat
from scoring.hooks import Record
from scoring.scorer import ResponseFormat, Scorer
from training.evaluation.bootstrap import Interval
from training.evaluation.metrics import evaluate
from training.evaluation.weighted_metrics import ScoredRows, gain_intervals, metric_intervals
from training.frame.frame import TrainingFrame
from training.frame.splits import Fold
from training.models import FAMILIES
from training.registry.compilation import compile_scorer
from training.search.blending import blend
from training.search.ensemble_candidates import blend_members
from training.search.fitting import SAMPLE_ROWS, fit, fitted_blend
from training.search.fitting import predict as predictions_of
from training.search.trial import Attempt, Trial, fold_means
from training.space.joint_space import Candidate, JointSpace
from training.space.space import Value

WARM_UP, RESPONSES, LONGEST = 100, 2_000, 5.0  # requests, requests, and seconds of both together
FEW = 100  # rows of a fit that loads the libraries and is not measured


@dataclass(frozen=True)
class Contest:
    """The rows that every entry is fitted and measured on.

    Attributes:
        requests: raw records; each response is to one of them, in turn.
        parts: folds of the training rows; empty if the entries are compared on the holdout alone.
    """

    training: TrainingFrame
    holdout: TrainingFrame
    metric: str
    response_format: ResponseFormat
    requests: Sequence[Record]
    parts: Sequence[Fold] = ()
    seed: int = 0

    def with_requests(self, requests: Sequence[Record]) -> "Contest":
        """The contest with other requests."""
        return replace(self, requests=requests)

    def scored(self, predicted: Floats) -> ScoredRows:
        """Predictions of the holdout beside its labels."""
        return ScoredRows(self.holdout.y, predicted, 0.5, self.holdout.dependence)

    def scored_parts(self, predicted: Sequence[Floats]) -> list[ScoredRows]:
        """Predictions of the validation rows of each fold beside their labels."""
        return [
            ScoredRows(part.validate.y, values, 0.5, part.validate.dependence)
            for part, values in zip(self.parts, predicted, strict=True)
        ]


@dataclass(frozen=True)
class Entry:
    """A fitted model and its predictions.

    Attributes:
        holdout: predictions of the holdout.
        parts: predictions of the validation rows of each fold, or none.
        seconds: processor time of the fit on all training rows.
        microseconds: median processor time of a response; None if it was not measured.
        form: kind of the served model.
        pipeline: None for a model of another library.
    """

    name: str
    holdout: Floats
    parts: Sequence[Floats]
    seconds: float
    microseconds: float | None
    form: str
    candidate: Candidate | None = None
    pipeline: Pipeline | None = None


def default_of(family: str, **params: Value) -> Candidate:
    """The default point of the family's space, with some values in place of the default ones."""
    default = JointSpace({family: FAMILIES[family].space}).default(family)
    return Candidate.of(family, {**default.params, **params})


def entry(name: str, candidate: Candidate, contest: Contest) -> Entry:
    """Fit the candidate on each fold and on all training rows, compile it, and measure it."""
    brief = {"max_epochs": 1} if FAMILIES[candidate.family].extras else {}
    few = Candidate.of(candidate.family, {**candidate.params, **brief, SAMPLE_ROWS: FEW})
    fit(few, contest.training, contest.seed)
    parts = []
    for part in contest.parts:
        fitted = fit(candidate, part.fit, contest.seed)
        parts.append(predictions_of(candidate, fitted, part.validate))
    began = process_time()
    pipeline = fit(candidate, contest.training, contest.seed)
    seconds = process_time() - began
    return _measured(name, contest, pipeline, FAMILIES[candidate.family].matrix_format, parts, seconds, candidate)


def blended(name: str, entries: Sequence[Entry], contest: Contest) -> Entry:
    """The blend that a search chooses by the folds from these entries; its fit is those of its members.

    Its predictions of a fold have the weights that are best on the other folds.

    Raises:
        BlendRefused: one entry alone is better on the folds.
    """
    trials = [_trial(number, each, contest) for number, each in enumerate(entries, start=1)]
    chosen = blend(trials, Attempt(contest.parts, contest.seed, 0.5), contest.metric, MOST_MEMBERS)
    pairs = blend_members(chosen.candidate)
    members = [each for _, candidate in pairs for each in entries if each.candidate == candidate]
    weights = ", ".join(f"{weight:.2f} {each.name}" for (weight, _), each in zip(pairs, members, strict=True))
    pipeline = fitted_blend(pairs, [each.pipeline for each in members if each.pipeline is not None], contest.training)
    seconds = sum(each.seconds for each in members)
    return _measured(f"{name}: {weights}", contest, pipeline, "dense", chosen.predictions or (), seconds)


def _trial(number: int, each: Entry, contest: Contest) -> Trial:
    """The entry as a trial of a search that kept its predictions."""
    if each.candidate is None:
        raise TypeError(f"{each.name} has no candidate, so that no search could try it")
    task = contest.training.task
    per_fold = [
        evaluate(task, part.validate.y, predicted, 0.5)
        for part, predicted in zip(contest.parts, each.parts, strict=True)
    ]
    duration = timedelta(seconds=each.seconds)
    means, predictions = fold_means(per_fold), tuple(each.parts)
    return Trial(number, each.candidate, means, tuple(per_fold), duration, predictions=predictions)


def _measured(  # noqa: PLR0913, PLR0917  (one for each part of an entry)
    name: str,
    contest: Contest,
    pipeline: Pipeline,
    matrix_format: MatrixFormat,
    parts: Sequence[Floats],
    seconds: float,
    candidate: Candidate | None = None,
) -> Entry:
    scorer = Scorer(pipeline, contest.training.encoder, contest.response_format, matrix_format=matrix_format)
    compiled = compile_scorer(scorer, contest.holdout.features).compiled
    served = replace(scorer, compiled=compiled)
    return Entry(
        name,
        served.predict(contest.holdout.features),
        parts,
        seconds,
        median_microseconds(served, contest.requests),
        "fitted" if compiled is None else compiled.kind,
        candidate,
        pipeline,
    )


def median_microseconds(scorer: Scorer, requests: Sequence[Record]) -> float:
    """The median processor time of a response to a request of one row, which other processes do not lengthen."""
    durations: list[int] = []
    begin, each = process_time(), cycle(requests)
    while len(durations) < WARM_UP + RESPONSES and process_time() < begin + LONGEST:
        request = [next(each)]
        began = process_time_ns()
        scorer.respond(request)
        durations.append(process_time_ns() - began)
    measured = durations[min(WARM_UP, len(durations) // 2) :]
    return float(np.median(measured)) / 1e3


HEADER = ("model", "folds", "holdout", "gain over {reference}", "fit, s", "p50, us", "form")


def table(contest: Contest, entries: Sequence[Entry], reference: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the comparison; gains are paired on the holdout, and positive if the entry is better."""
    by_name: Mapping[str, Entry] = {each.name: each for each in entries}
    over = contest.scored(by_name[reference].holdout)
    return [cell.format(reference=reference) for cell in HEADER], list(_rows(contest, entries, reference, over))


def _rows(contest: Contest, entries: Sequence[Entry], reference: str, over: ScoredRows) -> Iterator[list[str]]:
    metric = contest.metric
    for each in entries:
        rows = contest.scored(each.holdout)
        of_folds = metric_intervals([metric], contest.scored_parts(each.parts))[metric] if each.parts else None
        gain = None if each.name == reference else gain_intervals([metric], rows, over)[metric]
        yield [
            each.name,
            _shown(of_folds),
            _shown(metric_intervals([metric], [rows])[metric]),
            _shown(gain, sign="+"),
            f"{each.seconds:.1f}",
            "" if each.microseconds is None else f"{each.microseconds:.0f}",
            each.form,
        ]


def _shown(interval: Interval | None, sign: str = "") -> str:
    if interval is None:
        return ""
    digits = 3 if abs(interval.value) < 10 else 1  # of an error in the units of the label
    value, low, high = (f"{each:{sign}.{digits}f}" for each in (interval.value, interval.low, interval.high))
    return f"{value} ({low} to {high})"
