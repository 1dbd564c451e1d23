"""What a person sees of a search while it runs."""

from collections import Counter
from collections.abc import Iterable

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lakehouse.console import OUT
from training.search.trial import Trial, TrialStatus

LONGEST = 200  # characters of an error
ORDER: tuple[TrialStatus, ...] = ("ok", "pruned", "failed", "timeout", "out_of_memory")


class SearchProgress:
    """Trials as they end: a line on a terminal that tells how it stands, and one whenever a trial is the best so far.

    Args:
        trials: how many there will be at most.
        finished: those of an interrupted search; they count, and are not told again.
    """

    def __init__(self, metric: str, trials: int, finished: Iterable[Trial] = ()) -> None:
        self._metric = metric
        self._best: Trial | None = None
        self._counts: Counter[TrialStatus] = Counter()
        self._bar = Progress(
            TextColumn("  searching"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[standing]}", markup=False),
            console=OUT,
            transient=True,
            disable=not OUT.is_terminal,
        )
        self._task = self._bar.add_task("trials", total=trials, standing="")
        for trial in finished:
            self._count(trial)

    def __enter__(self) -> "SearchProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def add(self, trial: Trial) -> None:
        """Count the trial; tell it if it is the best so far or failed."""
        best = self._count(trial)
        if trial.status not in {"ok", "pruned"}:
            # MLflow has the rest: what libraries say goes on for pages.
            error = str(trial.error).partition("\n")[0][:LONGEST]
            self._tell(trial, f"{trial.status.replace('_', ' ')}: {error}")
        elif best:
            self._tell(trial, f"{self._metric} {trial.metrics[self._metric]:.4f}, the best so far")

    def standing(self) -> str:
        """How many trials ended how, and the best of them."""
        counts = ", ".join(
            f"{self._counts[status]} {status.replace('_', ' ')}" for status in ORDER if self._counts[status]
        )
        if self._best is None:
            return counts or "no trial"
        return f"{counts}; best: trial {self._best.number}, {self._metric} {self._best.metrics[self._metric]:.4f}"

    def say(self, text: str) -> None:
        """Say something about the search, above its line."""
        self._bar.print(f"  {text}", markup=False)

    def _count(self, trial: Trial) -> bool:
        """Whether it is the best so far."""
        self._counts[trial.status] += 1
        best = trial.loss(self._metric) < (float("inf") if self._best is None else self._best.loss(self._metric))
        if best:
            self._best = trial
        self._bar.update(self._task, advance=1, standing=self.standing())
        return best

    def _tell(self, trial: Trial, what: str) -> None:
        self._bar.print(f"  trial {trial.number:>3}  {trial.candidate.family:<20} {what}", markup=False)
