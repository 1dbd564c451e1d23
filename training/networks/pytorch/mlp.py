"""A multilayer perceptron after the recipe of RealMLP (Holzmüller et al., Better by default, 2024).

From the recipe: periodic embeddings of numbers, embeddings of categories, a learned scale of each input, layers in
the parametrisation of the neural tangent kernel, SELU for classes and Mish for numbers, and a last layer that starts
at zero. Left out: parametric activations, label smoothing, and weights that start by the data.
"""

from itertools import pairwise
from math import pi, sqrt

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from training.networks.graph import GraphBuilder
from training.networks.inputs import NetworkInputs
from training.networks.pytorch.written import array

FREQUENCIES, PERIODIC = 16, 3  # of each number, and the columns that they are combined to
MOST_EMBEDDED = 8  # width of the embedding of a category


class TangentLinear(nn.Module):
    """A linear layer whose weights start with variance 1 and are divided by the root of the number of inputs."""

    def __init__(self, inputs: int, outputs: int, *, starts_at_zero: bool = False) -> None:
        super().__init__()
        start = torch.zeros if starts_at_zero else torch.randn
        self.weight, self.bias = nn.Parameter(start(inputs, outputs)), nn.Parameter(start(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.effective + self.bias

    @property
    def effective(self) -> torch.Tensor:
        """(inputs, outputs) the weights that the inputs are multiplied with."""
        return self.weight / sqrt(len(self.weight))


class Mlp(nn.Module):
    """The network.

    Args:
        inputs: the prepared inputs.
        outputs: width of the last layer.
        is_classifier: True for SELU, False for Mish.
        layers: number of hidden layers.
        width: width of each.
        dropout: share of activations that are dropped; its schedule is `training.networks.schedule`.
        frequency: standard deviation of the frequencies of the periodic embeddings.
    """

    def __init__(  # noqa: PLR0913  (options of a network)
        self,
        inputs: NetworkInputs,
        outputs: int,
        *,
        is_classifier: bool,
        layers: int,
        width: int,
        dropout: float,
        frequency: float,
    ) -> None:
        super().__init__()
        self.inputs, self.is_classifier = inputs, is_classifier
        self.dropout = self.highest_dropout = dropout
        varied = inputs.varied
        self.frequency = nn.Parameter(frequency * torch.randn(varied, FREQUENCIES))
        self.phase = nn.Parameter(pi * (2 * torch.rand(varied, FREQUENCIES) - 1))
        bound = 1 / sqrt(FREQUENCIES)
        self.combine = nn.Parameter(bound * (2 * torch.rand(varied, FREQUENCIES, PERIODIC) - 1))
        self.combine_bias = nn.Parameter(bound * (2 * torch.rand(varied, PERIODIC) - 1))
        self.embeddings = nn.ModuleList(nn.Embedding(size, min(MOST_EMBEDDED, size)) for size in inputs.sizes)
        embedded = sum(min(MOST_EMBEDDED, size) for size in inputs.sizes)
        first = inputs.numbers + varied * PERIODIC + embedded
        self.scale = nn.Parameter(torch.ones(first))
        widths = [first, *[width] * layers]
        self.hidden = nn.ModuleList(TangentLinear(*pair) for pair in pairwise(widths))
        self.last = TangentLinear(width, outputs, starts_at_zero=True)

    def forward(self, numbers: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
        periods = torch.cos(2 * pi * numbers[:, : self.inputs.varied, None] * self.frequency + self.phase)
        combined = torch.einsum("rnf,nfp->rnp", periods, self.combine) + self.combine_bias
        embedded = [embedding(categories[:, index]) for index, embedding in enumerate(self.embeddings)]
        x = torch.cat([numbers, combined.flatten(1), *embedded], dim=1) * self.scale
        for layer in self.hidden:
            activated = functional.selu(layer(x)) if self.is_classifier else functional.mish(layer(x))
            x = functional.dropout(activated, self.dropout, self.training)
        output: torch.Tensor = self.last(x)
        return output

    def set_dropout_share(self, share: float) -> None:
        """Set the dropout of the next step, as a share of the highest one."""
        self.dropout = self.highest_dropout * share

    def rate_of(self, name: str) -> float:
        """The learning rate of a parameter, as a multiple of the network's."""
        if name == "scale":
            return 6.0
        if name in {"frequency", "phase", "combine", "combine_bias"} or name.endswith("bias"):
            return 0.1
        return 1.0

    def decays(self, name: str) -> bool:
        """True if weight decay applies to a parameter."""
        return name.endswith("weight")

    def written(self, graph: GraphBuilder) -> str:
        """Write the trained network into a graph; return the name of its output.

        The combination of the periods, the learned scale and the first layer are linear, so they are one matrix.
        """
        numbers, categories = self.inputs.written(graph)
        count, varied = self.inputs.numbers, self.inputs.varied
        first = array(self.hidden[0].effective * self.scale[:, None]).astype(np.float64)
        bias = array(self.hidden[0].bias).astype(np.float64)
        parts, blocks = [], []
        if count:
            parts.append(numbers)
            blocks.append(first[:count])
        if varied:
            parts.append(self._periods(graph, numbers))
            of_periods = first[count : count + varied * PERIODIC].reshape(varied, PERIODIC, -1)
            blocks.append(np.einsum("nfp,npw->nfw", array(self.combine), of_periods).reshape(-1, first.shape[1]))
            bias = bias + np.einsum("np,npw->w", array(self.combine_bias), of_periods)
        if categories:
            tables = [self.inputs.table(index, array(each.weight)) for index, each in enumerate(self.embeddings)]
            pairs = zip(tables, categories, strict=True)
            parts += [graph.add("Gather", graph.constant(table), index) for table, index in pairs]
            blocks.append(first[count + varied * PERIODIC :])
        x = graph.add("Concat", *parts, axis=1)
        x = self._activated(graph, graph.linear(x, _single(np.concatenate(blocks)), _single(bias)))
        for layer in self.hidden[1:]:
            x = self._activated(graph, graph.linear(x, array(layer.effective), array(layer.bias)))
        return graph.linear(x, array(self.last.effective), array(self.last.bias))

    def _periods(self, graph: GraphBuilder, numbers: str) -> str:
        chosen = graph.constant(np.arange(self.inputs.varied, dtype=np.int64))
        column = graph.add(
            "Unsqueeze", graph.add("Gather", numbers, chosen, axis=1), graph.constant(np.asarray([2], dtype=np.int64))
        )
        turned = graph.add("Mul", column, graph.constant(array(2 * pi * self.frequency)))
        periods = graph.add("Cos", graph.add("Add", turned, graph.constant(array(self.phase))))
        return graph.add("Flatten", periods, axis=1)

    def _activated(self, graph: GraphBuilder, name: str) -> str:
        if self.is_classifier:
            return graph.add("Selu", name)
        return graph.add("Mul", name, graph.add("Tanh", graph.add("Softplus", name)))


def _single(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return values.astype(np.float32)
