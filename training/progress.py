"""What a person sees of a search while it runs."""

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lakehouse.console import OUT
from training.search.trial import Trial


class SearchProgress:
    """Trials as they end: a bar on a terminal, and a line whenever one is the best so far."""

    def __init__(self, metric: str, trials: int) -> None:
        self._metric = metric
        self._best = float("inf")
        self._bar = Progress(
            TextColumn("  searching"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=OUT,
            transient=True,
            disable=not OUT.is_terminal,
        )
        self._task = self._bar.add_task("trials", total=trials)

    def __enter__(self) -> "SearchProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def add(self, trial: Trial) -> None:
        """Count the trial; tell it if it is the best so far or failed."""
        self._bar.advance(self._task)
        if trial.error is not None:
            self._tell(trial, f"failed: {trial.error}")
        elif trial.loss(self._metric) < self._best:
            self._best = trial.loss(self._metric)
            self._tell(trial, f"{self._metric} {trial.metrics[self._metric]:.4f}, the best so far")

    def _tell(self, trial: Trial, what: str) -> None:
        self._bar.print(f"  trial {trial.number:>3}  {trial.candidate.family:<20} {what}", markup=False)
