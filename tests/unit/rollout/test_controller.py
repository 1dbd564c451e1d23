"""The controller on an injected clock: bakes of 30 minutes in milliseconds, and a crash before each event."""

from dataclasses import replace
from typing import Any

import pytest

from deployment.rollout.findings import StepFindings
from deployment.rollout.state import Phase, Rollout, RolloutChoice
from lakehouse.errors import LakehouseError
from tests.unit.rollout.in_memory import Behaviour, Crash, World
from training.use_case.rollout import RolloutPlan

PLAN = RolloutPlan(bake_minutes=30, steps=(10, 50), poll_seconds=30)
MINUTES_30 = 1_800.0


def run(world: World, plan: RolloutPlan = PLAN, **changes: Any) -> Rollout:
    patient = changes.pop("patient", True)
    world.begun(plan, **changes)
    return world.run(plan, patient=patient)


def actions(world: World) -> list[str]:
    return [action.removeprefix("rollout_") for action, _, _ in world.entries]


def test_a_good_version_gets_all_traffic_after_two_bakes_of_30_minutes() -> None:
    world = World()
    assert run(world).phase is Phase.FINISHED
    assert world.updates == [{2: 100, 5: 0}, {2: 90, 5: 10}, {2: 50, 5: 50}, {5: 100}]
    assert 2 * MINUTES_30 <= world.now < 2 * MINUTES_30 + 300
    assert actions(world) == ["started", *["intended", "done"] * 4, "intended", "ended"]
    assert (world.alias, world.stored) == (5, {})
    assert world.lines == [
        "version 5: loaded beside version 2, without traffic",
        "version 5: reproduces its golden rows on the endpoint",
        "version 5: 10 % of the traffic for 30 min (step 1 of 2)",
        "version 5: 50 % of the traffic for 30 min (step 2 of 2)",
        "version 5: all traffic: the rollout is finished",
    ]


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Behaviour(errors=0.02), "of its requests failed; of the stable version"),
        (Behaviour(errors=0.5), "of its requests failed, and the limit is 5.00%"),
        (Behaviour(milliseconds=6.0), "of its requests took longer than"),
        (Behaviour(milliseconds=9_000.0), "of its requests took longer than 2000 ms, not 1 %"),
        (Behaviour(golden=False), "it predicts 0.5 for its golden rows; registered was [5]"),
        (Behaviour(loads=False), "m-5: no weights"),
    ],
    ids=["2 % errors", "50 % errors", "3 times slower", "beyond the limit", "golden rows", "does not load"],
)
def test_a_bad_version_is_rolled_back_with_traffic_alias_and_reason(behaviour: Behaviour, reason: str) -> None:
    world = World(versions={5: behaviour})
    ended = run(world)
    assert ended.phase is Phase.ROLLED_BACK
    assert reason in ended.reason
    assert (world.traffic, world.alias) == ({2: 100}, 2)
    assert world.now < MINUTES_30, "a breach does not wait for the end of the bake"
    assert actions(world)[-5:] == ["failed", "intended", "done", "intended", "ended"]
    assert world.lines[-1] == "version 5: version 2 is the champion again"


def test_few_requests_extend_and_pause_and_nothing_is_promoted_on_silence() -> None:
    world = World(rate=0.01)
    paused = run(world, patient=False)
    assert (paused.phase, paused.reason) == (Phase.PAUSED, "only 3 of 100 requests at the end of the bake")
    assert 2 * MINUTES_30 <= world.now < 2 * MINUTES_30 + 300
    assert (world.traffic, world.alias) == ({2: 90, 5: 10}, 5)
    assert actions(world)[-2:] == ["extended", "paused"]
    assert "paused, a person decides" in world.stored["progress"].waits_for
    # A month later, nobody has called.
    world.rate = 0.0
    world.at = {world.now + 30 * 86_400: lambda w: w.decide(RolloutChoice.ABORT)}
    assert world.run(PLAN.model_copy(update={"poll_seconds": 3_600.0})).phase is Phase.ROLLED_BACK
    assert world.entries[-1][1].reason == "aborted: a person"


def test_a_paused_rollout_goes_on_by_a_person_or_once_enough_requests_arrive() -> None:
    world = World(rate=0.01)
    run(world, patient=False)
    world.decide(RolloutChoice.PROCEED)
    assert world.run(PLAN, patient=False).step == 1
    assert world.entries[-1][1].phase is Phase.PAUSED
    world.decide(RolloutChoice.EXTEND)
    world.rate = 10.0
    assert world.run(PLAN).phase is Phase.FINISHED


def test_a_crash_before_or_after_any_event_leaves_a_rollout_that_continues() -> None:
    for versions, phase in (({}, Phase.FINISHED), ({5: Behaviour(errors=0.02)}, Phase.ROLLED_BACK)):
        whole = World(versions=versions)
        run(whole)
        for event in range(3, whole.events + 1):
            world = World(versions=versions)
            world.begun(PLAN)
            world.crash_at = event
            with pytest.raises(Crash):
                world.run(PLAN)
            ended = world.run(PLAN)
            assert ended.phase is phase, event
            assert (world.traffic, world.alias) == (whole.traffic, whole.alias), event
            assert world.updates == whole.updates, "each update was made once"


def test_a_controller_that_takes_over_goes_on_counting() -> None:
    world = World()
    world.begun(PLAN)
    world.at = {900.0: lambda w: setattr(w, "crash_at", w.events + 1)}
    world.rate = 0.1
    with pytest.raises(Crash):
        world.run(PLAN)
    counted = world.stored["counts"][1].of(5).requests
    world.at = {world.now + 60: lambda w: setattr(w, "crash_at", w.events + 1)}
    with pytest.raises(Crash):
        world.run(PLAN)
    assert world.stored["counts"][1].of(5).requests >= counted


def test_a_new_champion_ends_the_rollout_and_the_stable_version_stays() -> None:
    world = World(at={900.0: lambda w: setattr(w, "alias", 6)})
    ended = run(world)
    assert (ended.phase, ended.reason) == (Phase.SUPERSEDED, "version 6 is the champion now")
    assert world.traffic == {2: 90, 5: 10}, "the rollout of version 6 takes the traffic over"


def test_a_server_that_is_down_for_long_is_a_failure_and_for_short_is_not() -> None:
    world = World(at={900.0: lambda w: setattr(w, "down", True), 940.0: lambda w: setattr(w, "down", False)})
    assert run(world).phase is Phase.FINISHED
    world = World(at={900.0: lambda w: setattr(w, "down", True), 1_080.0: lambda w: setattr(w, "down", False)})
    ended = run(world)
    assert ended.phase is Phase.ROLLED_BACK
    assert ended.reason == "no metrics for 60 s: no model server responds"


def test_a_way_back_that_cannot_be_completed_is_an_error_and_continues_later() -> None:
    world = World(at={900.0: lambda w: setattr(w, "down", True)})
    world.begun(PLAN)
    with pytest.raises(LakehouseError, match="no model server responds"):
        world.run(PLAN)
    assert world.entries[-1][1].phase is Phase.FAILED
    world.down = False
    assert world.run(PLAN).phase is Phase.ROLLED_BACK
    assert (world.traffic, world.alias) == ({2: 100}, 2)


def test_an_endpoint_that_a_person_changed_is_left_alone() -> None:
    world = World(at={900.0: lambda w: setattr(w, "traffic", {2: 100})})
    paused = run(world, patient=False)
    assert (paused.phase, paused.reason) == (Phase.PAUSED, "it serves {2: 100}")
    world.decide(RolloutChoice.ABORT)
    assert world.run(PLAN).phase is Phase.ROLLED_BACK


def test_a_choice_counts_once_and_an_abort_while_loading_counts_too() -> None:
    world = World()
    world.begun(PLAN)
    world.decide(RolloutChoice.ABORT)
    assert world.run(PLAN).phase is Phase.ROLLED_BACK
    assert world.traffic == {2: 100}
    world = World(at={60.0: lambda w: w.decide(RolloutChoice.PROCEED)})
    run(world)
    assert MINUTES_30 < world.now < MINUTES_30 + 300, "the second bake was not skipped"


def test_predictions_are_a_finding_and_a_limit_only_if_declared() -> None:
    world = World(findings=StepFindings(remarks=("predictions differ: 0.4",)))
    assert run(world).phase is Phase.FINISHED
    assert world.lines.count("version 5: predictions differ: 0.4") == 2, "once at the end of each bake"
    world = World(findings=StepFindings(breach="its predictions differ by 0.4, and the limit is 0.2"))
    assert run(world).reason == "its predictions differ by 0.4, and the limit is 0.2"
    assert world.now >= MINUTES_30


def test_a_limit_of_predictions_that_are_not_logged_yet_extends_and_pauses_until_they_are() -> None:
    few = StepFindings(unjudged="its predictions are not compared: 3 are logged")
    world = World(findings=few)
    paused = run(world, patient=False)
    assert (paused.phase, paused.extensions, paused.reason) == (Phase.PAUSED, PLAN.max_extensions, few.unjudged)
    logged = StepFindings(remarks=("the distance of its predictions is 0.010",))
    world.at = {world.now + 300: lambda w: setattr(w, "findings", logged)}
    assert world.run(PLAN).phase is Phase.FINISHED
    assert "version 5: the distance of its predictions is 0.010" in world.lines


def test_a_shadow_is_watched_without_traffic() -> None:
    plan = PLAN.model_copy(update={"shadow": True})
    world = World()
    assert run(world, plan).phase is Phase.FINISHED
    assert 3 * MINUTES_30 <= world.now < 3 * MINUTES_30 + 400
    world = World(versions={5: Behaviour(errors=0.02)})
    assert run(world, plan).phase is Phase.ROLLED_BACK
    assert world.updates == [{2: 100, 5: 0}, {2: 100}], "it never had traffic"
    assert world.mirrored is None


def test_the_first_version_of_an_endpoint_gets_all_traffic_at_once() -> None:
    world = World(traffic={})
    assert run(world, shares=()).phase is Phase.FINISHED
    assert (world.updates, world.now) == ([{5: 100}], 0.0)
    broken = World(traffic={}, versions={5: Behaviour(golden=False)})
    assert run(broken, shares=()).phase is Phase.ROLLED_BACK
    assert broken.lines[-1] == "version 5: failed; there is no earlier version"


def test_progress_shows_step_share_requests_errors_and_time_left() -> None:
    world = World(at={600.0: lambda w: w.lines.append(str(w.stored["progress"]))})
    run(replace(world))
    assert world.lines[-3] == (
        "rollout of version 5 beside version 2: baking, step 1 of 2, 10 %, 1,140 requests, 1 errors;"
        " 20 min of the bake left, 1140 of 100 requests; nobody carries it out:"
        " python -m deployment.run rollout --use-case NAME"
    )
