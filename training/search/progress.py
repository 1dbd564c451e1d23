"""Console output of a running search."""

from collections import Counter
from collections.abc import Iterable

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lakehouse.console import OUT
from training.search.trial import Trial, TrialStatus

MAX_ERROR = 200  # characters of an error
ORDER: tuple[TrialStatus, ...] = ("ok", "pruned", "failed", "timeout", "out_of_memory")


class SearchProgress:
    """Progress bar on a terminal, and a line for each failed trial and each new best one.

    Args:
        trials: largest number of trials.
        finished: trials of an interrupted search; they are counted and not printed.
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
            TextColumn("{task.fields[summary]}", markup=False),
            console=OUT,
            transient=True,
            disable=not OUT.is_terminal,
        )
        self._task = self._bar.add_task("trials", total=trials, summary="")
        for trial in finished:
            self._count(trial)

    def __enter__(self) -> "SearchProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def add(self, trial: Trial) -> None:
        """Count the trial; print it if it failed or is the best so far."""
        best = self._count(trial)
        if trial.status not in {"ok", "pruned"}:
            # Errors of libraries can be pages long; MLflow has them in full.
            error = str(trial.error).partition("\n")[0][:MAX_ERROR]
            self._print(trial, f"{trial.status.replace('_', ' ')}: {error}")
        elif best:
            self._print(trial, f"{self._metric} {trial.metrics[self._metric]:.4f}, best so far")

    def summary(self) -> str:
        """Number of trials by status, and the best trial."""
        counts = ", ".join(
            f"{self._counts[status]} {status.replace('_', ' ')}" for status in ORDER if self._counts[status]
        )
        if self._best is None:
            return counts or "none ended"
        return f"{counts}; best: trial {self._best.number}, {self._metric} {self._best.metrics[self._metric]:.4f}"

    def print(self, text: str) -> None:
        """Print a line above the progress bar."""
        self._bar.print(f"  {text}", markup=False)

    def _count(self, trial: Trial) -> bool:
        """Count the trial; return True if it is the best so far."""
        self._counts[trial.status] += 1
        best = trial.loss(self._metric) < (float("inf") if self._best is None else self._best.loss(self._metric))
        if best:
            self._best = trial
        self._bar.update(self._task, advance=1, summary=self.summary())
        return best

    def _print(self, trial: Trial, outcome: str) -> None:
        self._bar.print(f"  trial {trial.number:>3}  {trial.candidate.family:<20} {outcome}", markup=False)
