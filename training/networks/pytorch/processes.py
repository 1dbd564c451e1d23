"""Processes that fit one network together: each has a part of the rows, and all have the same weights."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import distributed

from lakehouse.arrays import Floats
from training.networks.inputs import NetworkInputs, seen_categories
from training.networks.pytorch.device import device

Sent = TypeVar("Sent")
MOST_SAMPLED = 50_000  # rows of each process from which the scales of the inputs are learned


class FitProcesses(Protocol):
    """The processes of a fit: what they compute in common."""

    def read(self, rows: Floats, sizes: dict[int, int]) -> NetworkInputs:
        """Learn the preparation from the rows of all processes."""

    def start_drawing(self, seed: int) -> None:
        """Draw other random numbers than the other processes, once all have built the same network."""

    def steps(self, own: int) -> int:
        """Steps of an epoch, if this process has rows for so many."""

    def average(self, parameters: Iterable[Any], rows: int) -> None:
        """Replace the gradients of so many rows by the mean over the rows of all processes."""

    def mean(self, value: float, rows: int) -> float:
        """The mean over the rows of all processes, of which this one has so many with this mean."""


class Alone:
    """One process, which has all rows."""

    def read(self, rows: Floats, sizes: dict[int, int]) -> NetworkInputs:
        return NetworkInputs.of(rows, sizes)

    def start_drawing(self, seed: int) -> None:
        """Continue with the random numbers that the network was built with."""

    def steps(self, own: int) -> int:
        return own

    def average(self, parameters: Iterable[Any], rows: int) -> None:
        """Leave the gradients as they are."""

    def mean(self, value: float, rows: int) -> float:
        return value


@dataclass(frozen=True)
class Group:
    """The default group of `torch.distributed`."""

    rank: int

    def read(self, rows: Floats, sizes: dict[int, int]) -> NetworkInputs:
        chosen = np.linspace(0, len(rows) - 1, min(len(rows), MOST_SAMPLED), dtype=np.intp)
        inputs = NetworkInputs.of(np.concatenate(_gathered(rows[chosen])), sizes)
        seen = _gathered(seen_categories(rows, sizes))
        union = {column: np.logical_or.reduce([each[column] for each in seen]) for column in inputs.categories}
        return replace(inputs, categories=union)

    def start_drawing(self, seed: int) -> None:
        torch.manual_seed(int(np.random.SeedSequence([seed, self.rank]).generate_state(1)[0]))

    def steps(self, own: int) -> int:
        fewest = torch.tensor(own, device=device())
        distributed.all_reduce(fewest, distributed.ReduceOp.MIN)
        return int(fewest.item())

    def average(self, parameters: Iterable[Any], rows: int) -> None:
        gradients = [each.grad for each in parameters if each.grad is not None]
        own = torch.cat([each.flatten() for each in gradients]) * rows
        summed = torch.cat([own, own.new_tensor([rows])])
        distributed.all_reduce(summed)
        means, start = summed[:-1] / summed[-1], 0
        for each in gradients:
            each.copy_(means[start : start + each.numel()].view_as(each))
            start += each.numel()

    def mean(self, value: float, rows: int) -> float:
        summed = torch.tensor([value * rows, rows], dtype=torch.float64, device=device())
        distributed.all_reduce(summed)
        return float((summed[0] / summed[1]).item())


def _gathered(own: Sent) -> list[Sent]:
    """The values of all processes, by rank."""
    found: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(found, own)
    return found
