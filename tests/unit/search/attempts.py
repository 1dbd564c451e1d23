"""Attempts without a model, which workers import by name; some of them misbehave."""

import os
import resource
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.search.trial import Trial, TrialSpec


def scored(spec: TrialSpec, value: float) -> Trial:
    metrics = {"roc_auc": value, "log_loss": 1 - value}
    return Trial(spec.number, spec.candidate, metrics, (metrics,), timedelta(milliseconds=1))


def smooth(spec: TrialSpec) -> float:
    """A score of the candidate that a search can optimise."""
    numbers = [float(v) for v in spec.candidate.params.values() if isinstance(v, int | float)]
    return float(1 / (1 + sum(abs(np.log10(abs(n) + 1e-9)) for n in numbers) + (spec.candidate.family == "knn")))


@dataclass(frozen=True)
class Smooth:
    """Scores depend on the candidate only; a trial in `after` waits for the file named after another trial."""

    folder: Path
    after: Mapping[int, int] = field(default_factory=dict)

    def __call__(self, spec: TrialSpec) -> Trial:
        wait_for(self.folder / str(self.after.get(spec.number, "")))
        return scored(spec, smooth(spec))


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.02)


def hang() -> None:
    time.sleep(3600)


def fill_memory() -> None:
    kept = []
    for _ in range(10_000):
        kept.append(np.ones(2**20))


def exit_early() -> None:
    os._exit(7)


def abort() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.abort()


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def defect() -> None:
    raise KeyError("no such thing")


ACTIONS: dict[str, Callable[[], None]] = {
    action.__name__: action for action in (hang, fill_memory, exit_early, abort, be_killed, defect)
}


@dataclass(frozen=True)
class Misbehaving:
    """Misbehaves in some trials."""

    actions: Mapping[int, str]

    def __call__(self, spec: TrialSpec) -> Trial:
        if action := self.actions.get(spec.number):
            try:
                ACTIONS[action]()
            except MemoryError as err:
                return Trial(
                    spec.number, spec.candidate, {}, (), timedelta(0), f"MemoryError: {err}", "out_of_memory"
                )
        return scored(spec, spec.number / 100)


@dataclass(frozen=True)
class Reading:
    """Reads all of its data in every trial, then waits for the file `until`."""

    data: npt.NDArray[Any]
    until: Path

    def __call__(self, spec: TrialSpec) -> Trial:
        total = float(self.data.sum())
        wait_for(self.until)
        return scored(spec, total / len(self.data))
