"""Fitting a network with PyTorch: the same rows, options and seed give the same bits on a CPU.

Early stopping is that of the boosters: find the number of epochs on validation rows, then fit on all rows with it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from lakehouse.arrays import Floats
from scoring.estimators.early_stopping import WeightedRows
from training.networks.checkpoint import Arrays, Checkpoint
from training.networks.inputs import NetworkInputs
from training.networks.options import Diverged, FitOptions
from training.networks.pytorch.device import device
from training.networks.pytorch.processes import Alone, FitProcesses
from training.networks.rungs import RUNGS, FitStopped, RungPredictions, RungWatch
from training.networks.schedule import learning_rate, regularisation
from training.networks.targets import LearnedLabels

MOMENTS = 0.9, 0.95  # of Adam, after RealMLP's recipe
PREDICTED = 8_192  # rows of a validation step

Untrained = Callable[[NetworkInputs, LearnedLabels], Any]


@dataclass
class TorchFit:
    """A fit in two stages: with validation rows, then on all rows.

    Attributes:
        build: makes the untrained network.
        targets: makes the targets of labels and weights.
        read: learns the preparation of rows.
        watch: follows the first stage, and may stop it.
        processes: the processes that fit the network, each with a part of the rows.
    """

    build: Untrained
    targets: Callable[[Any, Floats | None], LearnedLabels]
    task: str
    sizes: dict[int, int]
    options: FitOptions
    checkpoint: Checkpoint
    validates: bool
    read: Callable[[Floats, dict[int, int]], Any] = NetworkInputs.of
    watch: RungWatch | None = None
    processes: FitProcesses = field(default_factory=Alone)
    _resumed: Arrays | None = field(default=None, init=False)

    def run(self, rows: WeightedRows) -> tuple[Any, NetworkInputs, LearnedLabels, int]:
        """The trained network in evaluation mode, its inputs and targets, and the epochs that it was fitted with.

        Raises:
            Diverged: the loss is no number.
            FitStopped: the watch stops it.
        """
        try:
            with _reproducible(self.options.seed):
                stage, epochs = self._run(rows)
        except (Diverged, FitStopped):
            self.checkpoint.delete()  # as it would end so again
            raise
        self.checkpoint.delete()
        return stage.network.eval().cpu(), stage.inputs, stage.learned, epochs

    def _run(self, rows: WeightedRows) -> tuple["_Stage", int]:
        """The last stage, and the epochs that it was fitted with."""
        self._resumed = self.checkpoint.load()
        if self._resumed is not None and self.watch is not None:
            self.watch.resume(self._resumed["rungs"].tolist())
        epochs = self.options.epochs
        if self._resumed is not None and int(self._resumed["stage"]) == 2:
            epochs = int(self._resumed["best_epoch"])
        elif self.validates:
            remaining, validation = rows.split()
            epochs = _Stage(self, 1, remaining, validation, epochs).run()
        torch.manual_seed(self.options.seed)
        stage = _Stage(self, 2, rows, None, epochs)
        stage.run()
        return stage, epochs

    def take_resumed(self, stage: int) -> Arrays | None:
        """The checkpoint of this stage, once."""
        if self._resumed is None or int(self._resumed["stage"]) != stage:
            return None
        taken, self._resumed = self._resumed, None
        return taken


class _Stage:
    """One training of a fresh network."""

    def __init__(
        self, fit: TorchFit, number: int, rows: WeightedRows, validation: WeightedRows | None, epochs: int
    ) -> None:
        self.fit, self.number, self.epochs, self.options = fit, number, epochs, fit.options
        self.inputs = fit.read(rows.x, fit.sizes)
        self.learned = fit.targets(rows.y, rows.weights)
        self.network = fit.build(self.inputs, self.learned).to(device())
        self.processes = fit.processes
        self.processes.start_drawing(self.options.seed)
        self.rows = self._tensors(rows.x, self.learned)
        self.validation, self.y = None, None if validation is None else validation.y
        if validation is not None:
            like = self.learned.like(fit.task, validation.y, validation.weights)
            self.validation = self._tensors(validation.x, like)
        self.optimiser = torch.optim.AdamW(self._groups(), lr=0.0, betas=MOMENTS)
        self.epoch, self.best_epoch, self.least = 0, epochs, float("inf")

    def run(self) -> int:
        """Train; return the epoch of the least validation loss, or the last one."""
        if (resumed := self.fit.take_resumed(self.number)) is not None:
            self._restore(resumed)
        while self.epoch < self.epochs and not self._is_over():
            self._train_epoch()
            self.epoch += 1
            self._validate()
            if self.fit.checkpoint.is_due():
                self.fit.checkpoint.save(self._state())
        return self.best_epoch

    def _is_over(self) -> bool:
        waited = self.epoch - self.best_epoch
        return self.validation is not None and np.isfinite(self.least) and waited >= self.options.patience

    def _train_epoch(self) -> None:
        numbers, categories, labels, weights = self.rows
        count, batch = len(labels), self.options.batch
        steps = self.processes.steps(max(1, count // batch))
        order = torch.randperm(count).to(labels.device)
        self.network.train()
        total = torch.zeros((), device=labels.device)
        for step in range(steps):
            self._schedule((self.epoch + step / steps) / self.options.epochs)
            chosen = order[step * batch : count if step == steps - 1 else (step + 1) * batch]
            indices = categories[chosen]
            dropped = (torch.rand(indices.shape) < self.options.category_dropout).to(labels.device)
            output = self.network(numbers[chosen], indices.masked_fill(dropped, 0))
            loss = (self._losses(output, labels[chosen]) * weights[chosen]).mean()
            self.optimiser.zero_grad()
            loss.backward()
            self.processes.average(self.network.parameters(), len(chosen))
            self.optimiser.step()
            total += loss.detach()
        if not np.isfinite(self.processes.mean(total.item(), count)):
            raise Diverged.after(self.epoch + 1, self.options.learning_rate)

    def _validate(self) -> None:
        if self.validation is None or self.y is None:
            return
        self.network.eval()
        numbers, categories, labels, weights = self.validation
        with torch.no_grad():
            parts = [slice(start, start + PREDICTED) for start in range(0, len(labels), PREDICTED)]
            outputs = torch.cat([self.network(numbers[part], categories[part]) for part in parts])
            own = float((self._losses(outputs, labels) * weights).mean().item())
        loss = self.processes.mean(own, len(labels))
        if not np.isfinite(loss):
            raise Diverged.after(self.epoch, self.options.learning_rate)
        if loss < self.least:
            self.least, self.best_epoch = loss, self.epoch
        if self.fit.watch is not None and self.epoch in RUNGS:
            sums = outputs.cpu().numpy().astype(np.float64)
            self.fit.watch.reach(self.y, RungPredictions(self.fit.task, self.learned, sums).predictions())

    def _losses(self, output: Any, labels: Any) -> Any:
        if not self.learned.classes:
            return torch.square(output[:, 0] - labels)
        if self.learned.classes == 2:
            return functional.binary_cross_entropy_with_logits(
                output[:, 0], labels.to(output.dtype), reduction="none"
            )
        return functional.cross_entropy(output, labels, reduction="none")

    def _groups(self) -> list[dict[str, Any]]:
        """One group of the optimiser for each parameter, with its own factor of the learning rate."""
        network = self.network
        return [
            {"params": [each], "factor": network.rate_of(name), "decays": network.decays(name)}
            for name, each in network.named_parameters()
        ]

    def _schedule(self, done: float) -> None:
        rate, rest = self.options.learning_rate * learning_rate(done), regularisation(done)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
            group["weight_decay"] = self.options.weight_decay * rest if group["decays"] else 0.0
        self.network.set_dropout_share(rest)

    def _tensors(self, rows: Floats, targets: LearnedLabels) -> tuple[Any, Any, Any, Any]:
        numbers, categories = self.inputs.prepared(rows)
        labels = targets.labels if targets.classes else targets.labels.astype(np.float32)
        arrays = numbers, categories, labels, targets.weights.astype(np.float32)
        moved = [torch.from_numpy(np.ascontiguousarray(array)).to(device()) for array in arrays]
        return moved[0], moved[1], moved[2], moved[3]

    def _state(self) -> Arrays:
        arrays = {f"network.{name}": each.cpu().numpy() for name, each in self.network.state_dict().items()}
        for number, state in self.optimiser.state_dict()["state"].items():
            arrays |= {f"optimiser.{number}.{name}": each.cpu().numpy() for name, each in state.items()}
        counts = {"stage": self.number, "epoch": self.epoch, "least": self.least}
        best = self.epochs if self.number == 2 else self.best_epoch
        return {
            **arrays,
            **{name: np.asarray(value) for name, value in counts.items()},
            "best_epoch": np.asarray(best),
            "rungs": np.asarray([] if self.fit.watch is None else self.fit.watch.losses, dtype=np.float64),
            "random": torch.get_rng_state().numpy(),
        }

    def _restore(self, arrays: Arrays) -> None:
        network = {name.removeprefix("network."): each for name, each in arrays.items() if name[:8] == "network."}
        self.network.load_state_dict({name: torch.from_numpy(each) for name, each in network.items()})
        state: dict[int, dict[str, Any]] = {}
        for name, each in arrays.items():
            if name.startswith("optimiser."):
                _, number, key = name.split(".")
                state.setdefault(int(number), {})[key] = torch.from_numpy(each)
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": state})
        self.epoch, self.best_epoch = int(arrays["epoch"]), int(arrays["best_epoch"])
        self.least = float(arrays["least"])
        torch.set_rng_state(torch.from_numpy(arrays["random"]))


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """One thread, deterministic algorithms, and random numbers by the seed; afterwards all as before."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic)
