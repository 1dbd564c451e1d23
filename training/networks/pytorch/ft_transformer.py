"""A transformer over the inputs of a row (FT-Transformer; Gorishniy et al., Revisiting deep learning models, 2021).

Each number and each category is a token. Blocks of attention and a gated layer mix them, and a token of its own
collects what the last layer predicts from.
"""

from math import sqrt

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.networks.graph import GraphBuilder
from training.networks.inputs import NetworkInputs
from training.networks.pytorch.transformer_block import NEARLY_ZERO, TransformerBlock
from training.networks.pytorch.written import array, linear, normalised


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
        tokens = [graph.add("Expand", graph.constant(array(self.collector)), shape)]
        if self.inputs.numbers:
            column = graph.add("Unsqueeze", numbers, graph.constant(np.asarray([2], dtype=np.int64)))
            scaled = graph.add("Mul", column, graph.constant(array(self.number_weight)))
            tokens.append(graph.add("Add", scaled, graph.constant(array(self.number_bias))))
        for index, (embedding, category) in enumerate(zip(self.embeddings, categories, strict=True)):
            table = graph.constant(self.inputs.table(index, array(embedding.weight)))
            tokens.append(graph.add("Unsqueeze", graph.add("Gather", table, category), axis))
        x = graph.add("Concat", *tokens, axis=1)
        for block in self.blocks:
            x = block.written(graph, x)
        collected = graph.add("Gather", x, graph.constant(np.int64(0)), axis=1)
        return linear(graph, graph.add("Relu", normalised(graph, collected, self.norm)), self.last)
