"""Blocks that look at a history at several rates (NHITS; Challu et al., Neural hierarchical interpolation, 2022).

Each block sees the maxima of a few neighbouring values and the context of the row. It explains a part of the history,
which the next blocks do not see, and adds a part of the forecast; both are straight lines between few numbers.
"""

from itertools import pairwise
from math import ceil

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.networks.graph import GraphBuilder
from training.networks.history.inputs import HistoryInputs
from training.networks.history.pytorch.network import HistoryNetwork
from training.networks.pytorch.written import array, linear

LAYERS = 2  # of a block


class NhitsBlock(nn.Module):
    """One block.

    Args:
        length: count of the values of the history.
        horizon: count of the steps of the forecast.
        context: count of the numbers of the context.
        rate: values of the history that are seen as one, and that lie between two numbers of a line.
        width: width of each layer.
    """

    lines_back: torch.Tensor
    lines_ahead: torch.Tensor

    def __init__(self, length: int, horizon: int, context: int, rate: int, width: int) -> None:
        super().__init__()
        self.rate, self.dropout = min(rate, length), 0.0
        widths = [ceil(length / self.rate) + context, *[width] * LAYERS]
        self.hidden = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        back, ahead = ceil(length / rate), ceil(horizon / rate)
        self.back, self.ahead = nn.Linear(width, back), nn.Linear(width, ahead)
        nn.init.zeros_(self.ahead.weight)  # so that the first forecast is the mean of the labels
        nn.init.zeros_(self.ahead.bias)
        self.register_buffer("lines_back", lines(back, length), persistent=False)
        self.register_buffer("lines_ahead", lines(ahead, horizon), persistent=False)

    def forward(self, history: torch.Tensor, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(rows, length) explained part of the history, and (rows, horizon) part of the forecast."""
        seen = functional.max_pool1d(history[:, None], self.rate, self.rate, ceil_mode=True)[:, 0]
        x = torch.cat([seen, context], dim=1)
        for layer in self.hidden:
            x = functional.dropout(functional.relu(layer(x)), self.dropout, self.training)
        return self.back(x) @ self.lines_back, self.ahead(x) @ self.lines_ahead

    def written(self, graph: GraphBuilder, history: str, context: str) -> tuple[str, str]:
        """Write the block into a graph; return the names of both outputs."""
        channel = graph.constant(np.asarray([1], dtype=np.int64))
        window = {"kernel_shape": [self.rate], "strides": [self.rate], "ceil_mode": 1}
        seen = graph.add("MaxPool", graph.add("Unsqueeze", history, channel), **window)
        x = graph.add("Concat", graph.add("Squeeze", seen, channel), context, axis=1)
        for layer in self.hidden:
            x = graph.add("Relu", linear(graph, x, layer))
        back = graph.linear(linear(graph, x, self.back), array(self.lines_back))
        return back, graph.linear(linear(graph, x, self.ahead), array(self.lines_ahead))


class Nhits(HistoryNetwork):
    """The network.

    Args:
        inputs: the prepared inputs.
        rate: rate of the first block; the second has the half, the last sees each value.
        width: width of each layer.
        dropout: share that is dropped; its schedule is `training.networks.schedule`.
    """

    def __init__(self, inputs: HistoryInputs, *, rate: int, width: int, dropout: float) -> None:
        super().__init__(inputs, dropout)
        rates = rate, max(1, rate // 2), 1
        shape = inputs.length, inputs.horizon, self.context
        self.blocks = nn.ModuleList(NhitsBlock(*shape, each, width) for each in rates)

    def horizon(self, history: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        total = torch.zeros(1, device=history.device)
        for block in self.blocks:
            back, ahead = block(history, context)
            history, total = history - back, total + ahead
        return total

    def written_horizon(self, graph: GraphBuilder, history: str, context: str) -> str:
        total = ""
        for block in self.blocks:
            back, ahead = block.written(graph, history, context)
            total = graph.add("Add", total, ahead) if total else ahead
            history = graph.add("Sub", history, back)
        return total


def lines(numbers: int, length: int) -> torch.Tensor:
    """(numbers, length) weights of the numbers in each value of the straight lines between them."""
    return functional.interpolate(torch.eye(numbers)[:, None], size=length, mode="linear")[:, 0]
