"""Beginning of a rollout: which version takes over from which, and whether a rollout is to be continued. No I/O."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from deployment.endpoints.endpoint_client import EndpointServesOtherModel
from deployment.endpoints.state import Served
from deployment.rollout.state import Rollout
from lakehouse.errors import LakehouseError
from training.use_case.rollout import RolloutPlan


class RolloutRefused(LakehouseError):
    """A rollout does not begin by itself."""

    @classmethod
    def failed_before(cls, name: str, version: int, reason: str) -> "RolloutRefused":
        return cls(
            f"the rollout of version {version} of {name} was rolled back: {reason}",
            hint="It is not tried again by itself. Restore the earlier champion: python -m deployment.run rollback"
            f" --use-case {name} --reason ... To try it again nevertheless: python -m deployment.run rollout"
            f" --use-case {name} --retry",
        )

    @classmethod
    def no_mirroring(cls, endpoint: str) -> "RolloutRefused":
        return cls(
            f"the endpoint '{endpoint}' cannot mirror requests: Databricks has no such feature",
            hint="Leave out serving.rollout.shadow there, or keep it for the model server of this project.",
        )


@dataclass(frozen=True)
class Aim:
    """Version that an endpoint shall serve.

    Attributes:
        model: full name of the registered model.
        endpoint: name of the endpoint.
        champion: version with the alias champion.
    """

    model: str
    endpoint: str
    champion: int


def begun(aim: Aim, served: Served | None, last: Rollout | None, plan: RolloutPlan) -> Rollout | None:
    """The rollout that begins; None if the endpoint serves the champion already.

    Args:
        aim: version that the endpoint shall serve.
        served: models and traffic of the endpoint; None without an endpoint.
        last: last rollout, which has ended; the stable version of a superseded one stays the stable version.
        plan: steps.

    Raises:
        EndpointServesOtherModel: The endpoint serves another model.
    """
    if served is not None and served.models not in {(aim.model,), ()}:
        raise EndpointServesOtherModel.of(aim.endpoint, list(served.models), aim.model)
    traffic = served.traffic if served is not None else {}
    if traffic == {aim.champion: 100}:
        return None
    stable = stable_version(traffic, aim.champion, last)
    shares = plan.steps if stable is not None else ()
    return Rollout(
        uuid.uuid4().hex[:12], aim.model, aim.endpoint, aim.champion, stable, shares, plan.bake_seconds,
        plan.shadow and stable is not None,
    )  # fmt: skip


def stable_version(traffic: Mapping[int, int], champion: int, last: Rollout | None) -> int | None:
    """Version that answers until now: that of the superseded rollout if it is served, else the one with most traffic.

    >>> stable_version({2: 90, 5: 10}, 5, None), stable_version({5: 100}, 5, None), stable_version({}, 5, None)
    (2, None, None)
    """
    others = {version: share for version, share in traffic.items() if version != champion}
    if last is not None and last.stable == champion and champion in traffic:
        return None  # it never stopped answering: it takes the rest of the traffic at once
    if last is not None and last.stable in others:
        return last.stable
    return max(others, key=lambda version: others[version], default=None)
