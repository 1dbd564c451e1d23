"""Attempts that need no model: what a worker imports by name, and what it may meet in one."""

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


def scored(task: TrialSpec, value: float) -> Trial:
    metrics = {"roc_auc": value, "log_loss": 1 - value}
    return Trial(task.number, task.candidate, metrics, (metrics,), timedelta(milliseconds=1))


def smooth(task: TrialSpec) -> float:
    """A score of the candidate that a search can climb."""
    numbers = [float(v) for v in task.candidate.params.values() if isinstance(v, int | float)]
    return float(1 / (1 + sum(abs(np.log10(abs(n) + 1e-9)) for n in numbers) + (task.candidate.family == "knn")))


@dataclass(frozen=True)
class Smooth:
    """Gives what follows from the candidate alone; some trials end `after` there is a file of another number."""

    folder: Path
    after: Mapping[int, int] = field(default_factory=dict)

    def __call__(self, task: TrialSpec) -> Trial:
        wait_for(self.folder / str(self.after.get(task.number, "")))
        return scored(task, smooth(task))


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.02)


def hang() -> None:
    time.sleep(3600)


def eat() -> None:
    kept = []
    for _ in range(10_000):
        kept.append(np.ones(2**20))


def leave() -> None:
    os._exit(7)


def abort() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.abort()


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def defect() -> None:
    raise KeyError("no such thing")


DEEDS: dict[str, Callable[[], None]] = {deed.__name__: deed for deed in (hang, eat, leave, abort, be_killed, defect)}


@dataclass(frozen=True)
class Misbehaving:
    """Does in some trials what no trial should."""

    deeds: Mapping[int, str]

    def __call__(self, task: TrialSpec) -> Trial:
        if deed := self.deeds.get(task.number):
            try:
                DEEDS[deed]()
            except MemoryError as err:
                return Trial(
                    task.number, task.candidate, {}, (), timedelta(0), f"MemoryError: {err}", "out_of_memory"
                )
        return scored(task, task.number / 100)


@dataclass(frozen=True)
class Reading:
    """Reads all of its data in every trial, and stays until the file `until` is there."""

    data: npt.NDArray[Any]
    until: Path

    def __call__(self, task: TrialSpec) -> Trial:
        total = float(self.data.sum())
        wait_for(self.until)
        return scored(task, total / len(self.data))
