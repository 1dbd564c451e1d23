"""A block of a transformer: attention among the tokens of a row, and a gated layer for each token."""

from math import sqrt

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.networks.graph import GraphBuilder
from training.networks.pytorch.written import linear, normalised

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
        both = linear(graph, normalised(graph, x, self.second_norm), self.gated)
        value, gate = graph.add_many("Split", both, outputs=2, axis=-1, num_outputs=2)
        gated = graph.add("Mul", value, graph.add("Relu", gate))
        return graph.add("Add", x, linear(graph, gated, self.narrowed))

    def _written_attention(self, graph: GraphBuilder, x: str) -> str:
        width = self.mixed.weight.shape[0]
        part = width // self.heads
        attended = linear(
            graph, x if self.first_norm is None else normalised(graph, x, self.first_norm), self.attended
        )
        query, key, value = graph.add_many("Split", attended, outputs=3, axis=-1, num_outputs=3)
        shape = graph.constant(np.asarray([0, 0, self.heads, part], dtype=np.int64))  # 0: as in the input
        query = graph.add("Transpose", graph.add("Reshape", query, shape), perm=[0, 2, 1, 3])
        key = graph.add("Transpose", graph.add("Reshape", key, shape), perm=[0, 2, 3, 1])
        value = graph.add("Transpose", graph.add("Reshape", value, shape), perm=[0, 2, 1, 3])
        scores = graph.add("Mul", graph.add("MatMul", query, key), graph.constant(np.float32(1 / sqrt(part))))
        together = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), value)
        joined = graph.constant(np.asarray([0, 0, width], dtype=np.int64))
        return linear(
            graph, graph.add("Reshape", graph.add("Transpose", together, perm=[0, 2, 1, 3]), joined), self.mixed
        )
