"""The loop of every search: ask, try, record, tell. Written once for all methods, engines and executors."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

import numpy as np

from lakehouse.errors import LakehouseError
from training.search.engines.proposer import Proposer
from training.search.executors import Executor
from training.search.pruning import MedianRule
from training.search.result import OnTrial, SearchResult, StopReason
from training.search.trial import Trial, TrialSpec
from training.space.joint_space import Candidate


class ResumeRefused(LakehouseError):
    """The search cannot go on where an earlier one stopped."""

    @classmethod
    def unordered(cls, trials: int) -> "ResumeRefused":
        return cls(
            f"spark_trials tells its trials in the order they end, and cannot go on after {trials} of them",
            hint="Say --executor spark_connect or processes, which can, or leave out --resume.",
        )

    @classmethod
    def otherwise(cls, trial: Trial, proposed: Candidate | None) -> "ResumeRefused":
        return cls(
            f"trial {trial.number} was {_shown(trial.candidate)}, and the search now proposes {_shown(proposed)}",
            hint="An engine of another version proposes otherwise. Start a new search: leave out --resume.",
        )


@dataclass(frozen=True)
class SearchLimits:
    """How a search goes, and when it ends.

    Attributes:
        metric: what trials are compared by.
        trials: how many there are at most.
        seconds: after which no trial begins, and none that runs is waited for unless it runs in this process; None:
            no limit.
        ahead: how many trials are asked for beyond the last that was told. What is proposed depends on it, and on
            nothing that differs from run to run: trials are told in order of their numbers, however they end.
        prune: whether poor trials are stopped early.
    """

    metric: str
    trials: int
    seconds: float | None = None
    ahead: int = 1
    prune: bool = False


class Loop:
    """One search under way.

    Args:
        record: takes each new trial as it ends; what it raises ends the search.
        finished: trials of an interrupted search by number; they are told and not tried again.
    """

    def __init__(
        self,
        proposer: Proposer,
        executor: Executor,
        terms: SearchLimits,
        record: OnTrial,
        finished: Mapping[int, Trial] | None = None,
    ) -> None:
        self._proposer, self._executor, self._terms = proposer, executor, terms
        self._record, self._finished = record, dict(finished or {})
        self._rule = MedianRule(terms.metric) if terms.prune else None
        self._ended: dict[int, Trial] = {}
        self._asked = self._told = 0
        self._deadline = None if terms.seconds is None else monotonic() + terms.seconds

    def run(self) -> SearchResult:
        """Search to the end. Ctrl-C is one: what was found is returned.

        Raises:
            ResumeRefused: a finished trial is not what this search proposes.
        """
        try:
            ended = self._run()
        except KeyboardInterrupt:
            ended = "interrupted"
        finally:
            self._executor.close()
        return SearchResult(tuple(self._ended[number] for number in sorted(self._ended)), ended)

    def _run(self) -> StopReason:
        while True:
            more = self._ask()
            if len(self._ended) == self._asked and not more:
                return "complete"
            trial = None if self._late() else self._executor.next(self._deadline)
            if trial is None:
                return "out_of_time"
            self._ended[trial.number] = trial
            self._record(trial)

    def _ask(self) -> bool:
        """Ask for as many trials as may be ahead; whether there are more."""
        while self._asked < self._terms.trials:
            if self._late() or not self._tell(self._asked + 1 - self._terms.ahead):
                return True
            proposed = self._proposer.ask(self._asked + 1)
            if proposed is None:
                return False
            self._asked += 1
            self._begin(self._asked, proposed)
        return False

    def _tell(self, until: int) -> bool:
        """Tell the trials up to this number, and none beyond, though it may have ended; whether all have."""
        while self._told < until and self._told + 1 in self._ended:
            self._told += 1
            trial = self._ended[self._told]
            self._proposer.tell(trial.number, self._loss(trial))
        return self._told >= until

    def _begin(self, number: int, proposed: Candidate) -> None:
        before = self._finished.pop(number, None)
        if before is None:
            self._executor.submit(TrialSpec(number, proposed, self._rule.bar() if self._rule else None))
        elif before.candidate != proposed:
            raise ResumeRefused.otherwise(before, proposed)
        else:
            self._ended[number] = before

    def _loss(self, trial: Trial) -> float:
        if self._rule is None:
            return trial.loss(self._terms.metric)
        if trial.status == "pruned":
            return self._rule.estimate(trial.fold_losses(self._terms.metric))
        loss = trial.loss(self._terms.metric)
        if np.isfinite(loss):
            self._rule.learn(trial.fold_losses(self._terms.metric))
        return loss

    def _late(self) -> bool:
        return self._deadline is not None and monotonic() >= self._deadline


def _shown(candidate: Candidate | None) -> str:
    if candidate is None:
        return "nothing"
    return f"{candidate.family} ({', '.join(f'{name} {value}' for name, value in candidate.params.items())})"
