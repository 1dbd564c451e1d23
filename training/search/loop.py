"""The search loop: ask, run, record, tell. One loop for all methods, engines and executors."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

import numpy as np

from lakehouse.errors import LakehouseError
from training.search.blending import finishing_seconds, keep_predictions
from training.search.engines.proposer import Proposer
from training.search.executors import Executor
from training.search.pruning.halving import HalvingRule
from training.search.pruning.medians import MedianRule
from training.search.result import OnTrial, SearchResult, StopReason
from training.search.trial import Trial, TrialSpec
from training.space.joint_space import Candidate

RESERVED_SHARE = 0.4  # of the time limit: at most this part is reserved for what follows the search
REPORT_SECONDS = 14.0  # reserved for registration and report beside the fits, as measured on 38,000 rows


class ResumeRefused(LakehouseError):
    """The interrupted search cannot be continued."""

    @classmethod
    def unordered(cls, trials: int) -> "ResumeRefused":
        return cls(
            f"spark_trials reports trials in the order they end, and cannot continue after {trials} of them",
            hint="Pass --executor spark_connect or processes, or leave out --resume.",
        )

    @classmethod
    def other_candidate(cls, trial: Trial, proposed: Candidate | None) -> "ResumeRefused":
        return cls(
            f"trial {trial.number} was {_format(trial.candidate)}, and the search now proposes {_format(proposed)}",
            hint="Another version of the engine proposes other candidates. Start a new search: leave out --resume.",
        )


@dataclass(frozen=True)
class SearchLimits:
    """Limits and options of a search.

    Attributes:
        metric: metric that compares trials.
        trials: largest number of trials.
        seconds: time limit, or None. After it no trial starts, and running trials are abandoned, except a trial in
            this process.
        blend: largest number of trials that are blended after the search.
        stacks: largest number of stacks that are fitted after the search.
        refits: durations of forms of the final model, for each second of a trial, the preferred form first. The time
            of the first form that fits into RESERVED_SHARE of the limit is reserved, by the fit times of the best
            trials so far.
        lookahead: number of trials to ask for beyond the last reported one. Proposals depend on it, and on nothing
            that differs between runs: trials are reported in order of their numbers, whichever ends first.
        prune: True to stop poor trials early.
    """

    metric: str
    trials: int
    seconds: float | None = None
    blend: int = 0
    stacks: int = 0
    refits: tuple[float, ...] = (0.0,)
    lookahead: int = 1
    prune: bool = False


class Loop:
    """One running search.

    Args:
        record: called with each new trial as it ends; its exceptions end the search.
        finished: trials of an interrupted search by number; they are reported to the proposer and not run again.
    """

    def __init__(
        self,
        proposer: Proposer,
        executor: Executor,
        limits: SearchLimits,
        record: OnTrial,
        finished: Mapping[int, Trial] | None = None,
    ) -> None:
        self._proposer, self._executor, self._limits = proposer, executor, limits
        self._record, self._finished = record, dict(finished or {})
        self._rule = MedianRule(limits.metric) if limits.prune else None
        self._halving = HalvingRule(limits.metric)
        self._ended: dict[int, Trial] = {}
        self._asked = self._reported = 0
        self._deadline = self._end = None if limits.seconds is None else monotonic() + limits.seconds

    def run(self) -> SearchResult:
        """Run the search; Ctrl-C ends it with the trials so far.

        Raises:
            ResumeRefused: this search proposes another candidate than a finished trial has.
        """
        try:
            stop_reason = self._run()
        except KeyboardInterrupt:
            stop_reason = "interrupted"
        finally:
            self._executor.close()
        return SearchResult(tuple(self._ended[number] for number in sorted(self._ended)), stop_reason)

    def _run(self) -> StopReason:
        while True:
            more = self._ask()
            if len(self._ended) == self._asked and not more:
                return "complete"
            trial = None if self._out_of_time() else self._executor.next(self._deadline)
            if trial is None:
                return "out_of_time"
            self._ended[trial.number] = trial
            self._record(trial)
            limits = self._limits
            self._ended = keep_predictions(self._ended, limits.metric, limits.blend, limits.stacks)
            self._reserve_time()

    def _ask(self) -> bool:
        """Ask for trials up to the lookahead; return True if more will follow."""
        while self._asked < self._limits.trials:
            if self._out_of_time() or not self._report(self._asked + 1 - self._limits.lookahead):
                return True
            proposed = self._proposer.ask(self._asked + 1)
            if proposed is None:
                return False
            self._asked += 1
            self._start(self._asked, proposed)
        return False

    def _report(self, until: int) -> bool:
        """Report ended trials up to this number to the proposer, none beyond; return True if all have ended."""
        while self._reported < until and self._reported + 1 in self._ended:
            self._reported += 1
            trial = self._ended[self._reported]
            self._proposer.tell(trial.number, self._loss(trial))
        return self._reported >= until

    def _start(self, number: int, proposed: Candidate) -> None:
        finished = self._finished.pop(number, None)
        if finished is None:
            self._executor.submit(self._spec(number, proposed))
        elif finished.candidate != proposed:
            raise ResumeRefused.other_candidate(finished, proposed)
        else:
            self._ended[number] = finished

    def _spec(self, number: int, proposed: Candidate) -> TrialSpec:
        if self._rule is None:
            return TrialSpec(number, proposed)
        return TrialSpec(number, proposed, self._rule.threshold(), self._halving.limits(proposed))

    def _loss(self, trial: Trial) -> float:
        if self._rule is None:
            return trial.loss(self._limits.metric)
        self._halving.observe(trial.candidate, trial.rungs)
        if trial.status == "pruned":
            return self._rule.estimate(trial.fold_losses(self._limits.metric))
        loss = trial.loss(self._limits.metric)
        if np.isfinite(loss):
            self._rule.observe(trial.fold_losses(self._limits.metric))
        return loss

    def _reserve_time(self) -> None:
        """Set the deadline of the trials, so that blend, final model and report can follow within the time limit."""
        if self._end is None or self._limits.seconds is None:
            return
        trials, limits, most = [*self._ended.values()], self._limits, RESERVED_SHARE * self._limits.seconds
        needed = (
            finishing_seconds(trials, limits.metric, limits.blend, limits.stacks, refits) + REPORT_SECONDS
            for refits in limits.refits
        )
        self._deadline = self._end - next((seconds for seconds in needed if seconds <= most), most)

    def _out_of_time(self) -> bool:
        return self._deadline is not None and monotonic() >= self._deadline


def _format(candidate: Candidate | None) -> str:
    if candidate is None:
        return "nothing"
    return f"{candidate.family} ({', '.join(f'{name} {value}' for name, value in candidate.params.items())})"
