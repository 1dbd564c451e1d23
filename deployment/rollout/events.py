"""Events of a rollout, in one line each."""

from collections.abc import Mapping

from deployment.rollout.state import Phase, Rollout

_LINES: Mapping[Phase, str] = {
    Phase.STARTED: "rollout to the endpoint '{endpoint}' started",
    Phase.DEPLOYED: "loaded beside version {stable}, without traffic",
    Phase.CHECKED: "reproduces its golden rows on the endpoint",
    Phase.MIRRORED: "gets copies of the requests for {minutes:g} min; version {stable} answers",
    Phase.BAKING: "{share} % of the traffic for {minutes:g} min (step {number} of {steps})",
    Phase.PAUSED: "paused: {reason}",
    Phase.FINISHED: "all traffic: the rollout is finished",
    Phase.FAILED: "is rolled back: {reason}",
    Phase.TRAFFIC_BACK: "all traffic is back at version {stable}",
    Phase.ROLLED_BACK: "version {stable} is the champion again",
    Phase.SUPERSEDED: "rollout ended: {reason}",
}
_WITHOUT_STABLE: Mapping[Phase, str] = {
    Phase.DEPLOYED: "loaded, with all traffic: the endpoint had no earlier version",
    Phase.TRAFFIC_BACK: "there is no earlier version that could take the traffic",
    Phase.ROLLED_BACK: "failed; there is no earlier version",
}


def describe(rollout: Rollout, *, extended: bool = False) -> str:
    """Describe the phase that a rollout has reached.

    >>> describe(Rollout("r", "m", "e", 5, 2, (10, 50), 600.0, phase=Phase.BAKING, step=0))
    '10 % of the traffic for 10 min (step 1 of 2)'
    """
    if extended:
        return f"bake extended: {rollout.reason}"
    lines = _LINES if rollout.stable is not None else {**_LINES, **_WITHOUT_STABLE}
    again = rollout.phase in {Phase.BAKING, Phase.MIRRORED} and rollout.reason
    return (f"{rollout.reason}: " if again else "") + lines[rollout.phase].format(
        endpoint=rollout.endpoint, stable=rollout.stable, minutes=rollout.bake / 60, share=rollout.share,
        number=rollout.step + 1, steps=len(rollout.shares), reason=rollout.reason,
    )  # fmt: skip


def share_of(rollout: Rollout) -> str:
    """Version with its share of the traffic."""
    return f"version {rollout.version} at {rollout.share} %"
