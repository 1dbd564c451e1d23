"""State of a rollout, as the ledger records it with each of its entries. No I/O."""

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any


class Phase(StrEnum):
    """Phase of a rollout: all that is behind it has been done."""

    STARTED = "started"
    DEPLOYED = "deployed"  # both versions are loaded, and the new one gets no traffic
    CHECKED = "checked"  # the new version has reproduced its golden rows on the endpoint
    MIRRORED = "mirrored"  # the new version gets copies of the requests
    BAKING = "baking"  # the new version gets the share of the step
    PAUSED = "paused"  # a person decides, or enough requests arrive
    FINISHED = "finished"  # the new version gets all traffic
    FAILED = "failed"  # a limit was violated; the way back begins
    TRAFFIC_BACK = "traffic_back"  # the stable version gets all traffic
    ROLLED_BACK = "rolled_back"  # alias and tags too
    SUPERSEDED = "superseded"  # another version is the champion


ENDED = frozenset({Phase.FINISHED, Phase.ROLLED_BACK, Phase.SUPERSEDED})
WATCHED = frozenset({Phase.MIRRORED, Phase.BAKING, Phase.PAUSED})


class RolloutChoice(StrEnum):
    """RolloutChoice of a person during a rollout."""

    EXTEND = "extend"
    PROCEED = "proceed"
    ABORT = "abort"


@dataclass(frozen=True)
class Rollout:
    """One rollout of a version to an endpoint.

    Attributes:
        id: identifier of the rollout.
        model: full name of the registered model.
        endpoint: name of the endpoint.
        version: new version, the champion.
        stable: version that answers until then; None without one.
        shares: shares of the steps, in per cent.
        bake: length of a bake, in seconds.
        shadow: True to mirror requests before the first step.
        phase: phase that it has reached.
        step: number of the current step, from 0; -1 before the first, and while requests are mirrored.
        since: start of the first bake of the step, in seconds since 1970.
        until: end of the bake, in seconds since 1970; 0 outside of a bake.
        extensions: number of extensions of the current bake.
        reason: reason of a pause, a failure or an end; empty if all is well.
        decided: number of the ledger entry with the last choice of a person that was carried out.
        changed: True while it is paused for a reason that may pass: somebody else changed the endpoint, or the
            registry or the ledger were away. The whole bake begins again then.
    """

    id: str
    model: str
    endpoint: str
    version: int
    stable: int | None
    shares: tuple[int, ...] = ()
    bake: float = 0.0
    shadow: bool = False
    phase: Phase = Phase.STARTED
    step: int = -1
    since: float = 0.0
    until: float = 0.0
    extensions: int = 0
    reason: str = ""
    decided: int = 0
    changed: bool = False

    @property
    def ended(self) -> bool:
        return self.phase in ENDED

    @property
    def mirroring(self) -> bool:
        """True while the new version gets copies of requests, also if that is paused."""
        return self.phase in WATCHED and self.step < 0

    @property
    def share(self) -> int:
        """Share of the traffic that the new version should get now, in per cent."""
        if self.phase is Phase.FINISHED or (self.stable is None and self.phase is not Phase.STARTED):
            return 100
        return self.shares[self.step] if self.phase in {Phase.BAKING, Phase.PAUSED} and self.step >= 0 else 0

    @property
    def traffic(self) -> dict[int, int]:
        """Share of each version, in per cent."""
        if self.stable is None or self.share == 100:
            return {self.version: 100}
        if self.phase in {Phase.TRAFFIC_BACK, Phase.ROLLED_BACK}:
            return {self.stable: 100}
        return {self.stable: 100 - self.share, self.version: self.share}

    def at(self, phase: Phase, **changes: Any) -> "Rollout":
        return replace(self, phase=phase, **changes)

    def failed(self, reason: str) -> "Rollout":
        return self.at(Phase.FAILED, reason=reason, until=0.0)

    def superseded(self, champion: int | None) -> "Rollout":
        return self.at(Phase.SUPERSEDED, reason=f"version {champion} is the champion now", until=0.0)

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Rollout":
        """Read a recorded state; fields that a later release added are ignored."""
        values = {name: value for name, value in json.loads(text).items() if name in cls.__dataclass_fields__}
        return cls(**values | {"shares": tuple(values["shares"]), "phase": Phase(values["phase"])})
