"""Networks in a search with a time limit: they take part only if the search can try a few of them."""

from collections.abc import Mapping
from time import monotonic

from training.budget import Budget
from training.frame.drawing import sample
from training.models import FAMILIES
from training.models.networks import EPOCHS
from training.search.fitting import fit
from training.search.loop import RESERVED_SHARE
from training.search.trial import Attempt
from training.space.joint_space import Candidate
from training.use_case.search import SearchPlan

LEAST_TRIALS = 5
WARM_UP_ROWS, MEASURED_ROWS = 64, 1024
USED_SHARE = 0.9  # of the limit of epochs: what both stages of a fit with early stopping need, measured on four sets


def unaffordable(plan: SearchPlan, attempt: Attempt, budget: Budget) -> Mapping[str, str]:
    """The networks of the plan of which fewer than five trials fit into the time, each with the reason.

    One epoch of each is measured on a sample. If the plan has networks alone, none is left out.
    """
    networks = [name for name in plan.families if FAMILIES[name].extras]
    left = budget.left()
    if left is None or len(networks) == len(plan.families):
        return {}
    reasons = {}
    for name in networks:
        trial = trial_seconds(plan.joint_space().default(name), attempt)
        left = budget.left() or 0.0
        time = left * (1 - RESERVED_SHARE) * plan.parallelism
        if trial * LEAST_TRIALS > time:
            needed = trial * LEAST_TRIALS / (1 - RESERVED_SHARE) / plan.parallelism / 60
            reasons[name] = (
                f"{name} is left out: a trial takes about {trial:,.0f} s on {len(attempt.folds)} folds, and the time "
                f"allows {int(time / trial)} of at least {LEAST_TRIALS}. It takes part from --max-minutes "
                f"{needed + 1:,.0f} on"
            )
    return reasons


def trial_seconds(candidate: Candidate, attempt: Attempt) -> float:
    """Estimated duration of a trial of a network, from one epoch on a sample of the first fold's rows."""
    brief = Candidate.of(candidate.family, {**candidate.params, "max_epochs": 1})
    frame = attempt.folds[0].fit
    for count in (WARM_UP_ROWS, MEASURED_ROWS):  # the first fit imports the library
        rows = frame.rows(sample(frame, count, attempt.seed))
        start = monotonic()
        fit(brief, rows, attempt.seed)
        seconds = monotonic() - start
    epochs = USED_SHARE * int(str(candidate.params.get("max_epochs") or EPOCHS))
    return seconds / len(rows) * epochs * sum(len(fold.fit) for fold in attempt.folds)
