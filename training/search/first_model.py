"""The first model of a search with a time limit: quick to fit, so that the search has a result whenever it ends."""

from dataclasses import replace

from lakehouse import console
from training.models import FAMILIES
from training.search.fitting import SAMPLE_ROWS
from training.search.result import SearchResult
from training.search.trial import Attempt, Trial, TrialSpec
from training.space.joint_space import Candidate
from training.use_case.search import SearchPlan

ROWS = 5000  # a linear model of 11,000 columns takes about a second


def first_model(plan: SearchPlan, attempt: Attempt) -> Trial:
    """Score the default of the cheapest family, fitted on a sample of the rows of each fold."""
    space = plan.joint_space()
    cheapest = min(plan.families, key=lambda name: FAMILIES[name].cost)
    params = {**space.default(cheapest).params, SAMPLE_ROWS: ROWS}
    trial = attempt(TrialSpec(0, Candidate.of(cheapest, params)))
    outcome = f"{plan.metric} {trial.metrics[plan.metric]:.4f}" if trial.status == "ok" else trial.error
    console.detail(
        f"first model: {cheapest} on at most {ROWS:,} rows of each fold, in case no trial ends in time: {outcome}"
    )
    return trial


def in_place_of_trials(result: SearchResult, first: Trial | None) -> Trial | None:
    """The first model as the last trial, if time ran out before a trial succeeded; else None."""
    if first is None or result.stop_reason != "out_of_time" or any(trial.status == "ok" for trial in result.trials):
        return None
    last = replace(first, number=max((trial.number for trial in result.trials), default=0) + 1)
    console.detail(f"no trial succeeded in time: the first model becomes trial {last.number}")
    return last
