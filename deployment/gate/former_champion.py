"""The best former champion: no later one was shown to be better.

If each champion may be a little worse than the one before it, small losses add up (Everson-Stewart & Emerson,
Bio-creep in non-inferiority clinical trials, Statistics in Medicine 29, 2010). So each challenger is also compared
with one fixed version. A promoted version takes its place only if its gain over it has a lower bound above 0. However
many promotions follow, a version that is worse than the best former champion by the margin is promoted with at most
the stated error rate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from deployment.gate import holdout, verdict
from deployment.gate.criteria.decide import ATTEMPT, BEST_FORMER_CHAMPION
from deployment.gate.criteria.decision import Decision, FormerChampion, Scores
from deployment.gate.holdout import Holdout
from deployment.gate.loaded_version import LoadedVersion
from deployment.gate.own_inputs import NotComparable, own_inputs
from deployment.ledger import aliases
from deployment.ledger.aliases import AliasedVersions
from deployment.ledger.history import History
from lakehouse.errors import LakehouseError
from training.feature_store.store import FeatureReader
from training.use_case.use_case import UseCase

VerdictOf = Callable[[int], Decision | None]  # the verdict that promoted a version; None if it cannot be read


@dataclass(frozen=True)
class FormerChampions:
    """The earlier champions of one use case.

    Attributes:
        client: registry client.
        use_case: use case with the frame that the challenger was trained on.
        history: the ledger.
    """

    client: MlflowClient
    use_case: UseCase
    history: History

    def score(self, versions: AliasedVersions, rows: Holdout, store: FeatureReader) -> FormerChampion:
        """Score the best former champion on the rows; without it, the best of the others that can be compared.

        A version that was deleted, does not load, lacks features of the rows or was trained on some of them is left
        out, and named with the reason.
        """
        metric, champion = self.use_case.promotion.metric, self.history.champion
        stack, unusable = self.history.rollback_stack, list[str]()
        if champion is None or stack[-1:] != [champion]:
            return FormerChampion(None, ("all: the ledger does not say which of them were rolled back",))
        while (best := best_former(stack, self._verdict_of, metric)) != champion:
            try:
                return FormerChampion(self._scores(best, versions.challenger, rows, store), tuple(unusable))
            except LakehouseError as err:
                unusable.append(f"version {best}: {err.failed}")
            stack.remove(best)
        return FormerChampion(None, tuple(unusable))

    def _scores(self, number: int, challenger: ModelVersion, rows: Holdout, store: FeatureReader) -> Scores:
        version = aliases.version(self.client, self.use_case.name, number)
        if seen := holdout.seen_rows(rows, version, challenger):
            raise NotComparable.of(version, f"it was trained on {seen} of the rows")
        loaded = LoadedVersion.load(version)
        inputs = own_inputs(loaded, self.use_case, rows, store)
        if not inputs.complete.all():
            raise NotComparable.of(version, f"it has no features for {int((~inputs.complete).sum())} of the rows")
        return loaded.scores(rows, features=inputs.features)

    def _verdict_of(self, version: int) -> Decision | None:
        """The verdict that promoted a version; None for one that became champion without it, or if it is lost."""
        entries = reversed(self.history.since_reset)
        entry = next((each for each in entries if each.action == "promoted" and each.to_version == version), None)
        if entry is None or not entry.verdict:
            return None
        try:
            return verdict.load(self.client, self.use_case.name, version, entry.verdict)
        except LakehouseError:  # `verify` reports it
            return None


def best_former(stack: Sequence[int], verdict_of: VerdictOf, metric: str) -> int:
    """The best champion of the stack, which ends with the current one.

    A verdict names the version that was the best before it, so one verdict is read as a rule. Verdicts of earlier
    releases compare with the champion of their time alone; then the verdicts before them are read too.

    Args:
        stack: the champions that were not rolled back, oldest first.
        verdict_of: reads the verdict that promoted a version.
        metric: metric of the use case; gains in another one show nothing.
    """
    champion, earlier = stack[-1], stack[:-1]
    if not earlier:
        return champion
    decision = verdict_of(champion)
    named = None if decision is None else _named(decision, metric)
    best = named if named is not None and named in earlier else best_former(earlier, verdict_of, metric)
    return champion if decision is not None and _shown_better(decision, metric, best) else best


def _named(decision: Decision, metric: str) -> int | None:
    """The best champion before the decision; None if it was made before that was recorded."""
    prefix = f"gain in {metric} over version "
    names = [reason.criterion for reason in decision.reasons]
    for name in names:
        if name.startswith(prefix) and name.endswith(BEST_FORMER_CHAMPION):
            return int(name.removeprefix(prefix).removesuffix(BEST_FORMER_CHAMPION))
    recorded = ATTEMPT in names and f"{prefix}{decision.champion}" in names
    return decision.champion if recorded else None


def _shown_better(decision: Decision, metric: str, version: int) -> bool:
    name = f"gain in {metric} over version {version}"
    return any(
        reason.interval is not None and reason.interval.low > 0
        for reason in decision.reasons
        if reason.criterion in {name, name + BEST_FORMER_CHAMPION}
    )
