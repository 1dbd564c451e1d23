"""The state machine of a rollout: what follows from its state and the facts. Pure functions, without I/O.

started -> deployed -> checked [-> mirrored] -> baking (each step) -> finished
baking, mirrored -> paused -> baking | finished
any of them -> failed -> traffic back -> rolled back
any of them -> superseded
"""

from dataclasses import dataclass
from enum import StrEnum

from deployment.rollout.state import Phase, Rollout, RolloutChoice
from training.use_case.rollout import RolloutPlan

MISSING_READINGS, MISSING_SECONDS = 3, 60.0  # readings in a row without metrics, over this time, are a failure
MOST_OUTAGE_SECONDS = 600.0  # registry or ledger may be away for as long; after a longer outage a bake begins again


class Effect(StrEnum):
    """Side effect of a transition."""

    DEPLOY = "deploy the version beside the stable one"
    CHECK = "replay the golden rows on the endpoint"
    MIRROR = "mirror requests to the version"
    SHIFT = "shift traffic"
    RETURN_TRAFFIC = "return all traffic to the stable version"
    RETURN_CHAMPION = "return alias and tags to the stable version"


@dataclass(frozen=True)
class RolloutFacts:
    """Observations for a decision.

    Attributes:
        now: time in seconds since 1970.
        champion: version with the alias champion.
        choice: choice of a person that was not carried out yet.
        reason: reason of that choice.
        requests: requests of the new version since the start of the bake.
        breach: violated limit, in words; empty without one.
        missing: number of readings in a row without metrics.
        silent: seconds since the first of them; a server that restarts loads its versions for some.
        unreadable: reason why there were none.
        changed: how somebody else changed the endpoint, in words; empty if nobody did.
        unjudged: reason why a declared limit cannot be judged yet; empty if it can.
        outage: seconds for which registry or ledger did not respond, once they do again; 0 without an outage.
    """

    now: float
    champion: int | None
    choice: RolloutChoice | None = None
    reason: str = ""
    requests: int = 0
    breach: str = ""
    missing: int = 0
    silent: float = 0.0
    unreadable: str = ""
    changed: str = ""
    unjudged: str = ""
    outage: float = 0.0


@dataclass(frozen=True)
class Act:
    """Carry out a side effect; the rollout is then in the state `after`."""

    effect: Effect
    after: Rollout


@dataclass(frozen=True)
class Move:
    """Enter a state that needs no side effect."""

    after: Rollout


@dataclass(frozen=True)
class Wait:
    """Look again later."""

    reason: str


Transition = Act | Move | Wait


def repeats_what_was_begun(rollout: Rollout, facts: RolloutFacts) -> bool:
    """True if a side effect that was begun is to be repeated; not if the champion has moved, or a person aborted."""
    return _way_back(rollout) is not None or _interrupted(rollout, facts) is None


def next_transition(rollout: Rollout, facts: RolloutFacts, plan: RolloutPlan) -> Transition | None:
    """The transition that follows; None once the rollout has ended."""
    if rollout.ended:
        return None
    return _way_back(rollout) or _interrupted(rollout, facts) or _way_on(rollout, facts, plan)


def _way_back(rollout: Rollout) -> Transition | None:
    match rollout.phase:
        case Phase.FAILED:
            return Act(Effect.RETURN_TRAFFIC, rollout.at(Phase.TRAFFIC_BACK))
        case Phase.TRAFFIC_BACK:
            return Act(Effect.RETURN_CHAMPION, rollout.at(Phase.ROLLED_BACK))
    return None


def _interrupted(rollout: Rollout, facts: RolloutFacts) -> Transition | None:
    """Transition if another version is the champion, or none, or a person aborts."""
    if facts.champion is None:
        return Move(rollout.failed("no version is the champion any more"))
    if facts.champion != rollout.version:
        return Move(rollout.superseded(facts.champion))
    return Move(rollout.failed(f"aborted: {facts.reason}")) if facts.choice is RolloutChoice.ABORT else None


def _way_on(rollout: Rollout, facts: RolloutFacts, plan: RolloutPlan) -> Transition:
    match rollout.phase:
        case Phase.STARTED:
            return Act(Effect.DEPLOY, rollout.at(Phase.DEPLOYED))
        case Phase.DEPLOYED:
            return Act(Effect.CHECK, rollout.at(Phase.CHECKED))
        case Phase.CHECKED:
            return _first_step(rollout, facts)
    return (
        _stopped(rollout, facts)
        or _chosen(rollout, facts)
        or _unrecorded(rollout, facts)
        or _changed(rollout, facts)
        or _end_of_bake(rollout, facts, plan)
    )


def _first_step(rollout: Rollout, facts: RolloutFacts) -> Transition:
    if rollout.stable is None:
        return Move(rollout.at(Phase.FINISHED))  # it has had all traffic since the endpoint was created
    if rollout.shadow:
        return Act(Effect.MIRROR, rollout.at(Phase.MIRRORED, until=facts.now + rollout.bake))
    return _next_step(rollout, facts)


def _next_step(rollout: Rollout, facts: RolloutFacts) -> Transition:
    step = rollout.step + 1
    if step == len(rollout.shares):
        return Act(Effect.SHIFT, rollout.at(Phase.FINISHED, until=0.0, reason="", changed=False))
    until = facts.now + rollout.bake
    return Act(Effect.SHIFT, rollout.at(Phase.BAKING, step=step, until=until, extensions=0, reason="", changed=False))


def _stopped(rollout: Rollout, facts: RolloutFacts) -> Transition | None:
    """Transition if a limit is violated, or nobody knows whether one is."""
    if facts.breach:
        return Move(rollout.failed(facts.breach))
    if facts.missing >= MISSING_READINGS and facts.silent >= MISSING_SECONDS:
        return Move(rollout.failed(f"no metrics for {duration(facts.silent)}: {facts.unreadable}"))
    return None


def _chosen(rollout: Rollout, facts: RolloutFacts) -> Transition | None:
    match facts.choice:
        case RolloutChoice.PROCEED:
            return _next_step(rollout, facts)
        case RolloutChoice.EXTEND:
            return Move(_extended(rollout, facts, f"extended: {facts.reason}"))
    return None


def _unrecorded(rollout: Rollout, facts: RolloutFacts) -> Transition | None:
    """Transition if nobody could watch the bake for long; it is recorded once that is possible again."""
    if facts.outage <= MOST_OUTAGE_SECONDS or rollout.phase is Phase.PAUSED:
        return None
    reason = f"registry or ledger could not be used for {duration(facts.outage)}"
    return Move(rollout.at(Phase.PAUSED, reason=reason, until=0.0, changed=True))


def _changed(rollout: Rollout, facts: RolloutFacts) -> Transition | None:
    """Transition if somebody else changed the endpoint, or has taken that back: then the whole bake begins again."""
    if facts.missing:
        return None
    if facts.changed and rollout.phase is not Phase.PAUSED:
        return Move(rollout.at(Phase.PAUSED, reason=facts.changed, until=0.0, changed=True))
    if rollout.changed and not facts.changed:
        until, reason = facts.now + rollout.bake, f"the bake begins again; before, {rollout.reason}"
        return Move(rollout.at(_bake_of(rollout), until=until, reason=reason, changed=False))
    return None


def _end_of_bake(rollout: Rollout, facts: RolloutFacts, plan: RolloutPlan) -> Transition:
    few = f"{facts.requests} of {plan.min_requests} requests"
    if facts.missing:
        return Wait(f"no metrics: {facts.unreadable}")
    if facts.now < min(rollout.since, rollout.until):
        reason = f"the clock was set back by at least {duration(rollout.since - facts.now)}"
        return Move(rollout.at(rollout.phase, since=facts.now, until=facts.now + rollout.bake, reason=reason))
    if facts.now < rollout.until:
        return Wait(f"{duration(rollout.until - facts.now)} of the bake left, {few}")
    if facts.requests < plan.min_requests or facts.changed:
        return _too_few(rollout, facts, plan, f"only {few} at the end of the bake")
    return _too_few(rollout, facts, plan, facts.unjudged) if facts.unjudged else _next_step(rollout, facts)


def _too_few(rollout: Rollout, facts: RolloutFacts, plan: RolloutPlan, reason: str) -> Transition:
    if rollout.phase is Phase.PAUSED:
        return Wait(f"paused, a person decides: {rollout.reason}; {facts.requests} requests now")
    if rollout.extensions < plan.max_extensions:
        return Move(_extended(rollout, facts, reason))
    return Move(rollout.at(Phase.PAUSED, reason=reason, until=0.0))


def _extended(rollout: Rollout, facts: RolloutFacts, reason: str) -> Rollout:
    until = max(rollout.until, facts.now) + rollout.bake
    return rollout.at(_bake_of(rollout), until=until, extensions=rollout.extensions + 1, reason=reason, changed=False)


def _bake_of(rollout: Rollout) -> Phase:
    """Phase in which the current step is watched."""
    return Phase.MIRRORED if rollout.step < 0 else Phase.BAKING


def duration(seconds: float) -> str:
    """Format a duration.

    >>> duration(1799.2), duration(12.3), duration(0.4)
    ('30 min', '12 s', '1 s')
    """
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{max(1, round(seconds))} s"
