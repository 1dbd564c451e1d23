"""The gate: judge the challenger, and do what the decision says."""

import getpass
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from mlflow.tracking import MlflowClient

from deployment import holdout, stages
from deployment.ledger import Entry, Ledger
from deployment.promotion import Decision, decide
from training.feature_store import FeatureStore
from training.registry import CHAMPION, version_of
from training.use_case import UseCase


@dataclass(frozen=True)
class Gate:
    """Judges the challengers of one use case and is the only one to change its champion."""

    use_case: UseCase
    client: MlflowClient
    store: FeatureStore
    ledger: Ledger

    def judge(self) -> Decision:
        """Score challenger and champion on the challenger's pinned holdout and decide.

        Raises:
            NoChallenger, HoldoutRefused, WarehouseUnwritable: there is nothing to compare, or not fairly, or no room
                for the record. Nothing is promoted then.
        """
        # Before anything is decided: what cannot be recorded is not promoted.
        self.ledger.warehouse.require_writable()
        self.repair()
        contest = stages.contest(self.client, self.use_case.name)
        rows = holdout.rebuild(self.use_case, contest.challenger, self.store)
        if contest.champion is not None:
            holdout.require_unseen(contest.champion, contest.challenger)
        challenger = holdout.score(contest.challenger, rows)
        champion = holdout.score(contest.champion, rows) if contest.champion else None
        return decide(rows.rows.y, challenger, champion, self.use_case.promotion)

    def apply(self, decision: Decision) -> None:
        """Write the verdict to the challenger, move the alias if it was promoted, and record it."""
        name, version = self.use_case.name, str(decision.challenger)
        self.client.set_model_version_tag(name, version, "verdict", decision.to_json()[:5000])
        if decision.promote:
            stages.crown(self.client, name, version)
        self._record(
            action="promoted" if decision.promote else "refused",
            before=decision.champion,
            after=decision.challenger if decision.promote else decision.champion,
            decision=decision,
        )

    def repair(self) -> None:
        """Finish what an earlier command began: tags follow the alias, and the ledger knows the champion."""
        stages.settle(self.client, self.use_case.name)
        champion = version_of(self.client, self.use_case.name, CHAMPION)
        recorded = next((entry.to_version for entry in reversed(self.ledger.entries(self.use_case.name))), None)
        if champion is not None and int(champion.version) != recorded:
            self._record(action="repaired", before=recorded, after=int(champion.version), decision=None)

    def _record(
        self,
        *,
        action: Literal["promoted", "refused", "repaired"],
        before: int | None,
        after: int | None,
        decision: Decision | None,
    ) -> None:
        reason = decision.summary() if decision else "the alias had moved and the ledger did not say so"
        digest = decision.digest() if decision else ""
        now, actor = datetime.now(UTC), getpass.getuser()
        self.ledger.append(Entry(now, actor, action, self.use_case.name, before, after, digest, reason))
