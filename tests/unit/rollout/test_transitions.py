"""The state machine of a rollout: every transition, as a table."""

from dataclasses import replace

import pytest

from deployment.rollout.events import describe
from deployment.rollout.state import Phase, Rollout, RolloutChoice
from deployment.rollout.transitions import (
    Act,
    Effect,
    Move,
    RolloutFacts,
    Wait,
    next_transition,
    repeats_what_was_begun,
)
from training.use_case.rollout import RolloutPlan

PLAN = RolloutPlan(bake_minutes=30, min_requests=100, max_extensions=1)
BAKE = PLAN.bake_seconds
START = Rollout("r", "main.m", "e", version=5, stable=2, shares=(10, 50), bake=BAKE)
BAKING = START.at(Phase.BAKING, step=0, until=1_000 + BAKE)
LAST = BAKING.at(Phase.BAKING, step=1)
PAUSED = BAKING.at(Phase.PAUSED, reason="only 3 of 100 requests at the end of the bake", until=0.0)
NOW = RolloutFacts(1_000, champion=5)
ENOUGH = replace(NOW, now=1_000 + BAKE, requests=100)
FEW = replace(ENOUGH, requests=3)
BREACH = replace(NOW, breach="errors")


def effect(rollout: Rollout, facts: RolloutFacts = NOW) -> tuple[Effect, Phase, int]:
    found = next_transition(rollout, facts, PLAN)
    assert isinstance(found, Act), found
    return found.effect, found.after.phase, found.after.share


def moved(rollout: Rollout, facts: RolloutFacts) -> Rollout:
    found = next_transition(rollout, facts, PLAN)
    assert isinstance(found, Move), found
    return found.after


def waits(rollout: Rollout, facts: RolloutFacts) -> str:
    found = next_transition(rollout, facts, PLAN)
    assert isinstance(found, Wait), found
    return found.reason


def test_a_good_version_goes_step_by_step_to_all_traffic() -> None:
    assert effect(START) == (Effect.DEPLOY, Phase.DEPLOYED, 0)
    assert effect(START.at(Phase.DEPLOYED)) == (Effect.CHECK, Phase.CHECKED, 0)
    assert effect(START.at(Phase.CHECKED)) == (Effect.SHIFT, Phase.BAKING, 10)
    assert "30 min of the bake left, 0 of 100 requests" in waits(BAKING, NOW)
    assert effect(BAKING, ENOUGH) == (Effect.SHIFT, Phase.BAKING, 50)
    assert effect(LAST, ENOUGH) == (Effect.SHIFT, Phase.FINISHED, 100)
    assert next_transition(LAST.at(Phase.FINISHED), ENOUGH, PLAN) is None
    assert LAST.at(Phase.FINISHED).traffic == {5: 100}
    assert BAKING.traffic == {2: 90, 5: 10}


def test_without_a_stable_version_traffic_goes_at_once() -> None:
    first = replace(START, stable=None)
    assert first.at(Phase.DEPLOYED).traffic == {5: 100}
    assert effect(first.at(Phase.DEPLOYED))[0] is Effect.CHECK
    assert moved(first.at(Phase.CHECKED), NOW).phase is Phase.FINISHED


def test_without_steps_the_golden_rows_decide() -> None:
    assert effect(replace(START, shares=()).at(Phase.CHECKED)) == (Effect.SHIFT, Phase.FINISHED, 100)


def test_a_shadow_gets_copies_before_the_first_step() -> None:
    shadow = replace(START, shadow=True).at(Phase.CHECKED)
    assert effect(shadow) == (Effect.MIRROR, Phase.MIRRORED, 0)
    mirrored = shadow.at(Phase.MIRRORED, until=1_000 + BAKE)
    assert mirrored.mirroring
    assert effect(mirrored, ENOUGH) == (Effect.SHIFT, Phase.BAKING, 10)
    extended = moved(mirrored, FEW)
    assert (extended.phase, extended.extensions) == (Phase.MIRRORED, 1)
    paused = moved(extended, replace(FEW, now=extended.until))
    assert (paused.phase, paused.mirroring, paused.traffic) == (Phase.PAUSED, True, {2: 100, 5: 0})


@pytest.mark.parametrize("watched", [BAKING, PAUSED, LAST, BAKING.at(Phase.MIRRORED, step=-1)])
def test_a_breach_rolls_back_at_once(watched: Rollout) -> None:
    failed = moved(watched, BREACH)
    assert (failed.phase, failed.reason) == (Phase.FAILED, "errors")
    assert effect(failed) == (Effect.RETURN_TRAFFIC, Phase.TRAFFIC_BACK, 0)
    assert effect(failed.at(Phase.TRAFFIC_BACK)) == (Effect.RETURN_CHAMPION, Phase.ROLLED_BACK, 0)


def test_too_few_requests_extend_the_bake_and_then_pause_it() -> None:
    extended = moved(BAKING, FEW)
    assert (extended.phase, extended.extensions, extended.until) == (Phase.BAKING, 1, FEW.now + BAKE)
    paused = moved(extended, replace(FEW, now=extended.until))
    assert (paused.phase, paused.reason) == (Phase.PAUSED, "only 3 of 100 requests at the end of the bake")
    assert paused.share == 10, "the traffic stays"


def test_a_pause_never_ends_by_silence() -> None:
    for days in (1, 30):
        assert "a person decides" in waits(PAUSED, replace(FEW, now=days * 86_400.0))
    assert effect(PAUSED, ENOUGH) == (Effect.SHIFT, Phase.BAKING, 50)


def test_a_person_decides() -> None:
    chosen = replace(FEW, reason="a holiday")
    assert effect(PAUSED, replace(chosen, choice=RolloutChoice.PROCEED)) == (Effect.SHIFT, Phase.BAKING, 50)
    extended = moved(PAUSED, replace(chosen, choice=RolloutChoice.EXTEND))
    assert (extended.phase, extended.until) == (Phase.BAKING, FEW.now + BAKE)
    assert moved(BAKING, replace(chosen, choice=RolloutChoice.ABORT)).reason == "aborted: a holiday"
    assert moved(START, replace(chosen, choice=RolloutChoice.ABORT)).phase is Phase.FAILED
    assert moved(PAUSED, replace(chosen, choice=RolloutChoice.PROCEED, breach="errors")).phase is Phase.FAILED


def test_missing_metrics_are_a_failure_after_three_readings_and_a_minute() -> None:
    facts = replace(ENOUGH, missing=2, silent=60.0, unreadable="the server does not respond")
    told = "no metrics: the server does not respond"
    assert waits(BAKING, facts) == told, "nothing is promoted without metrics"
    assert waits(BAKING, replace(facts, missing=30, silent=59.0)) == told, "a server that restarts loads its versions"
    assert moved(BAKING, replace(facts, missing=3)).reason == "no metrics for 60 s: the server does not respond"


def test_an_endpoint_that_somebody_else_changed_pauses_the_rollout() -> None:
    changed = replace(ENOUGH, changed="version 2 has 100 %")
    paused = moved(BAKING, changed)
    assert (paused.phase, paused.reason) == (Phase.PAUSED, "version 2 has 100 %")
    assert "a person decides" in waits(paused, changed)
    again = moved(paused, replace(ENOUGH, now=5_000.0))
    assert (again.phase, again.until, again.changed) == (Phase.BAKING, 5_000.0 + BAKE, False), "a whole bake"
    mirrored = BAKING.at(Phase.MIRRORED, step=-1)
    assert moved(moved(mirrored, changed), ENOUGH).phase is Phase.MIRRORED


def test_what_was_begun_is_repeated_only_while_its_version_is_the_champion() -> None:
    assert repeats_what_was_begun(BAKING, NOW)
    assert not repeats_what_was_begun(BAKING, replace(NOW, champion=2)), "a person rolled back in the meantime"
    assert not repeats_what_was_begun(BAKING, replace(NOW, choice=RolloutChoice.ABORT))
    assert repeats_what_was_begun(BAKING.failed("errors"), replace(NOW, champion=2)), "the way back"


def test_a_clock_that_is_set_back_begins_the_bake_again_instead_of_waiting_for_the_old_time() -> None:
    baking = replace(BAKING, since=1_000.0)
    again = moved(baking, replace(NOW, now=-86_000))
    assert (again.phase, again.since, again.until) == (Phase.BAKING, -86_000, -86_000 + BAKE)
    assert again.reason == "the clock was set back by at least 1450 min"
    assert "10 % of the traffic" in describe(again) and again.reason in describe(again)
    assert "30 min of the bake left" in waits(again, replace(NOW, now=-86_000))


@pytest.mark.parametrize("rollout", [START, START.at(Phase.DEPLOYED), BAKING, PAUSED])
def test_another_champion_supersedes_the_rollout(rollout: Rollout) -> None:
    superseded = moved(rollout, replace(BREACH, champion=6))
    assert (superseded.phase, superseded.reason) == (Phase.SUPERSEDED, "version 6 is the champion now")


def test_a_way_back_that_has_begun_is_completed_whatever_the_champion_is() -> None:
    assert effect(BAKING.failed("errors"), replace(NOW, champion=6))[0] is Effect.RETURN_TRAFFIC


def test_a_state_survives_as_json() -> None:
    assert Rollout.from_json(PAUSED.to_json()) == PAUSED
    assert Rollout.from_json(PAUSED.to_json().replace('"bake":', '"later":1,"bake":')) == PAUSED
