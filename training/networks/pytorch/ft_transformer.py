"""A transformer over the inputs of a row (FT-Transformer; Gorishniy et al., Revisiting deep learning models, 2021).

Each number and each category is a token. Blocks of attention and a gated layer mix them, and a token of its own
collects what the last layer predicts from.
"""

from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from training.networks.graph import GraphBuilder
from training.networks.inputs import NetworkInputs

HIDDEN = 4 / 3  # width of the gated layer, as a multiple of a token's
NEARLY_ZERO = 1e-5  # added to the variance by a normalisation


class TransformerBlock(nn.Module):
    """Attention among the tokens, then a gated layer for each; both are added to their input."""

    def __init__(self, width: int, heads: int, *, normalises_first: bool) -> None:
        super().__init__()
        hidden = int(width * HIDDEN)
        self.heads, self.dropout = heads, 0.0
        self.first_norm = nn.LayerNorm(width, eps=NEARLY_ZERO) if normalises_first else None
        self.attended = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)
        self.second_norm = nn.LayerNorm(width, eps=NEARLY_ZERO)
        self.gated = nn.Linear(width, 2 * hidden)
        self.narrowed = nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + functional.dropout(self._attention(x), self.dropout, self.training)
        value, gate = self.gated(self.second_norm(x)).chunk(2, dim=-1)
        narrowed: torch.Tensor = self.narrowed(
            functional.dropout(value * functional.relu(gate), self.dropout, self.training)
        )
        return x + narrowed

    def _attention(self, x: torch.Tensor) -> torch.Tensor:
        normalised = x if self.first_norm is None else self.first_norm(x)
        parts = self.attended(normalised).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        together = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        mixed: torch.Tensor = self.mixed(together.transpose(1, 2).flatten(2))
        return mixed

    def written(self, graph: GraphBuilder, x: str) -> str:
        """Write the block into a graph; return the name of its output."""
        attention = self._written_attention(graph, x)
        x = graph.add("Add", x, attention)
        both = _linear(graph, _normalised(graph, x, self.second_norm), self.gated)
        value, gate = graph.add_many("Split", both, outputs=2, axis=-1, num_outputs=2)
        gated = graph.add("Mul", value, graph.add("Relu", gate))
        return graph.add("Add", x, _linear(graph, gated, self.narrowed))

    def _written_attention(self, graph: GraphBuilder, x: str) -> str:
        width = self.mixed.weight.shape[0]
        part = width // self.heads
        attended = _linear(
            graph, x if self.first_norm is None else _normalised(graph, x, self.first_norm), self.attended
        )
        query, key, value = graph.add_many("Split", attended, outputs=3, axis=-1, num_outputs=3)
        shape = graph.constant(np.asarray([0, 0, self.heads, part], dtype=np.int64))  # 0: as in the input
        query = graph.add("Transpose", graph.add("Reshape", query, shape), perm=[0, 2, 1, 3])
        key = graph.add("Transpose", graph.add("Reshape", key, shape), perm=[0, 2, 3, 1])
        value = graph.add("Transpose", graph.add("Reshape", value, shape), perm=[0, 2, 1, 3])
        scores = graph.add("Mul", graph.add("MatMul", query, key), graph.constant(np.float32(1 / sqrt(part))))
        together = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), value)
        joined = graph.constant(np.asarray([0, 0, width], dtype=np.int64))
        return _linear(
            graph, graph.add("Reshape", graph.add("Transpose", together, perm=[0, 2, 1, 3]), joined), self.mixed
        )


class FtTransformer(nn.Module):
    """The network.

    Args:
        inputs: the prepared inputs.
        outputs: width of the last layer.
        blocks: number of blocks.
        width: width of a token.
        heads: parts in which a token attends; they divide the width.
        dropout: share that is dropped; its schedule is `training.networks.schedule`.
    """

    def __init__(  # noqa: PLR0913  (options of a network)
        self, inputs: NetworkInputs, outputs: int, *, blocks: int, width: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.inputs, self.highest_dropout = inputs, dropout
        bound = 1 / sqrt(width)
        self.number_weight = nn.Parameter(bound * (2 * torch.rand(inputs.numbers, width) - 1))
        self.number_bias = nn.Parameter(bound * (2 * torch.rand(inputs.numbers, width) - 1))
        self.embeddings = nn.ModuleList(nn.Embedding(size, width) for size in inputs.sizes)
        for embedding in self.embeddings:
            nn.init.uniform_(embedding.weight, -bound, bound)
        self.collector = nn.Parameter(bound * (2 * torch.rand(1, 1, width) - 1))
        self.blocks = nn.ModuleList(
            TransformerBlock(width, heads, normalises_first=number > 0) for number in range(blocks)
        )
        self.norm = nn.LayerNorm(width, eps=NEARLY_ZERO)
        self.last = nn.Linear(width, outputs)

    def forward(self, numbers: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
        tokens = [self.collector.expand(len(numbers), -1, -1)]
        tokens.append(numbers[:, :, None] * self.number_weight + self.number_bias)
        tokens += [embedding(categories[:, [index]]) for index, embedding in enumerate(self.embeddings)]
        x = torch.cat(tokens, dim=1)
        for block in self.blocks:
            x = block(x)
        output: torch.Tensor = self.last(functional.relu(self.norm(x[:, 0])))
        return output

    def set_dropout_share(self, share: float) -> None:
        """Set the dropout of the next step, as a share of the highest one."""
        for block in self.blocks:
            block.dropout = self.highest_dropout * share

    def rate_of(self, _name: str) -> float:
        """The learning rate of a parameter, as a multiple of the network's."""
        return 1.0

    def decays(self, name: str) -> bool:
        """True if weight decay applies to a parameter: to linear layers alone."""
        return name.endswith("weight") and not name.startswith(("embeddings", "number")) and "norm" not in name

    def written(self, graph: GraphBuilder) -> str:
        """Write the trained network into a graph; return the name of its output."""
        numbers, categories = self.inputs.written(graph)
        axis = graph.constant(np.asarray([1], dtype=np.int64))
        count = graph.add("Shape", graph.rows, start=0, end=1)
        shape = graph.add("Concat", count, graph.constant(np.asarray([1, 1], dtype=np.int64)), axis=0)
        tokens = [graph.add("Expand", graph.constant(_array(self.collector)), shape)]
        if self.inputs.numbers:
            column = graph.add("Unsqueeze", numbers, graph.constant(np.asarray([2], dtype=np.int64)))
            scaled = graph.add("Mul", column, graph.constant(_array(self.number_weight)))
            tokens.append(graph.add("Add", scaled, graph.constant(_array(self.number_bias))))
        for index, (embedding, category) in enumerate(zip(self.embeddings, categories, strict=True)):
            table = graph.constant(self.inputs.table(index, _array(embedding.weight)))
            tokens.append(graph.add("Unsqueeze", graph.add("Gather", table, category), axis))
        x = graph.add("Concat", *tokens, axis=1)
        for block in self.blocks:
            x = block.written(graph, x)
        collected = graph.add("Gather", x, graph.constant(np.int64(0)), axis=1)
        return _linear(graph, graph.add("Relu", _normalised(graph, collected, self.norm)), self.last)


def _linear(graph: GraphBuilder, x: str, layer: Any) -> str:
    return graph.linear(x, np.ascontiguousarray(_array(layer.weight).T), _array(layer.bias))


def _normalised(graph: GraphBuilder, x: str, norm: Any) -> str:
    scale, bias = graph.constant(_array(norm.weight)), graph.constant(_array(norm.bias))
    return graph.add("LayerNormalization", x, scale, bias, axis=-1, epsilon=NEARLY_ZERO)


def _array(tensor: Any) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype=np.float32)
