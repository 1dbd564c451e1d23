"""The evaluation of a challenger: both versions scored on its pinned holdout, and the decision."""

from dataclasses import dataclass, replace

from mlflow.tracking import MlflowClient

from deployment.gate import holdout
from deployment.gate.attempts import attempt_of
from deployment.gate.criteria.decide import decide
from deployment.gate.criteria.decision import Decision, GateState, Scores, comparison_with
from deployment.gate.criteria_changes import changes_since_last_verdict
from deployment.gate.former_champion import FormerChampions
from deployment.gate.holdout import Holdout
from deployment.gate.loaded_version import LoadedVersion
from deployment.gate.own_inputs import NotComparable, own_inputs
from deployment.ledger.aliases import AliasedVersions
from deployment.ledger.history import History
from training.feature_store.store import FeatureReader
from training.registry.frame_declaration import with_frame_of
from training.use_case.use_case import UseCase


@dataclass(frozen=True)
class Evaluation:
    """Evaluates a challenger of one use case.

    Attributes:
        use_case: use case with the promotion criteria.
        client: registry client.
        store: feature tables.
        history: the ledger.
    """

    use_case: UseCase
    client: MlflowClient
    store: FeatureReader
    history: History

    def decide(self, versions: AliasedVersions) -> Decision:
        """Score challenger and champion on the same rows, and decide.

        Raises:
            HoldoutRefused, VersionBroken: A fair comparison is not possible.
        """
        policy, loaded = self.use_case.promotion, LoadedVersion.load(versions.challenger)
        # The use case may have changed since the challenger was trained.
        trained = with_frame_of(self.use_case, loaded.metadata)
        pinned, champion, incomparable = holdout.rebuild(trained, versions.challenger, self.store), None, ""
        if versions.champion is not None:
            pinned = holdout.exclude_seen(pinned, versions.champion, versions.challenger, policy.overlap)
            try:
                pinned, champion = self._scored(LoadedVersion.load(versions.champion), trained, pinned)
            except NotComparable as err:
                incomparable = err.failed
        challenger = loaded.scores(pinned, policy.guards)
        loaded.replay()  # an endpoint would refuse a version that fails this
        state = self._state(versions, incomparable)
        if champion is not None:
            attempt = attempt_of(self.client, self.use_case.name, self.history, versions)
            former = FormerChampions(self.client, trained, self.history).score(versions, pinned, self.store)
            state = replace(state, attempt=attempt, former=former)
        decision = decide(pinned.as_rows(self.use_case), challenger, champion, policy, state)
        decision = replace(decision, criteria=policy.model_dump(mode="json"))
        changes = changes_since_last_verdict(self.client, self.use_case.name, self.history, decision)
        return replace(decision, criteria_changes=changes)

    def _scored(self, champion: LoadedVersion, trained: UseCase, pinned: Holdout) -> tuple[Holdout, Scores]:
        """The rows for which the champion has all features, and its predictions of them."""
        inputs = own_inputs(champion, trained, pinned, self.store)
        pinned = pinned.complete(inputs.complete)
        return pinned, champion.scores(pinned, features=inputs.complete_rows())

    def _state(self, versions: AliasedVersions, incomparable: str) -> GateState:
        challenger = int(versions.challenger.version)
        champion = int(versions.champion.version) if versions.champion else None
        # An approval covers a missing comparison only if it was given after a verdict that named it.
        approval = self.history.approval(challenger, comparison_with(champion) if incomparable else "")
        return GateState(challenger, champion, approval, self.history.frozen, incomparable)
