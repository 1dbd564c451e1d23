"""A network over the history of a series: a forecast of every step, of which a row has the one of its step."""

from abc import abstractmethod

import torch
from torch import nn

from training.networks.graph import GraphBuilder
from training.networks.history.inputs import HistoryInputs
from training.networks.pytorch.written import array

MOST_EMBEDDED = 8  # width of the embedding of a category


class HistoryNetwork(nn.Module):
    """The part that all such networks share.

    Args:
        inputs: the prepared inputs.
        dropout: share that is dropped; its schedule is `training.networks.schedule`.

    Attributes:
        blocks: the blocks of the network, each with the dropout of the step.
        context: count of the numbers that say all else of a row, embeddings of its categories included.
    """

    blocks: nn.ModuleList

    def __init__(self, inputs: HistoryInputs, dropout: float) -> None:
        super().__init__()
        self.inputs, self.dropout, self.highest_dropout = inputs, dropout, dropout
        self.embeddings = nn.ModuleList(nn.Embedding(size, min(MOST_EMBEDDED, size)) for size in inputs.sizes)
        self.context = inputs.numbers + sum(min(MOST_EMBEDDED, size) for size in inputs.sizes)

    @abstractmethod
    def horizon(self, history: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """(rows, steps) forecasts of (rows, length) histories and (rows, context) numbers."""

    @abstractmethod
    def written_horizon(self, graph: GraphBuilder, history: str, context: str) -> str:
        """Write the same into a graph; return the name of its output."""

    def forward(self, numbers: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
        """(rows, 1) the forecast of the step of each row."""
        length = self.inputs.length
        embedded = [embedding(categories[:, index]) for index, embedding in enumerate(self.embeddings)]
        context = torch.cat([numbers[:, length:-1], *embedded], dim=1)
        return self.horizon(numbers[:, :length], context).gather(1, numbers[:, -1:].long())

    def set_dropout_share(self, share: float) -> None:
        """Set the dropout of the next step, as a share of the highest one."""
        self.dropout = self.highest_dropout * share
        for block in self.blocks:
            block.dropout = self.dropout

    def rate_of(self, _name: str) -> float:
        """The learning rate of a parameter, as a multiple of the network's."""
        return 1.0

    def decays(self, name: str) -> bool:
        """True if weight decay applies to a parameter: to linear layers alone."""
        return name.endswith("weight") and "norm" not in name and not name.startswith("embeddings")

    def written(self, graph: GraphBuilder) -> str:
        """Write the trained network into a graph; return the name of its output."""
        history, numbers, categories, step = self.inputs.written(graph)
        parts = [numbers]
        for index, (embedding, category) in enumerate(zip(self.embeddings, categories, strict=True)):
            table = graph.constant(self.inputs.table(index, array(embedding.weight)))
            parts.append(graph.add("Gather", table, category))
        context = graph.add("Concat", *parts, axis=1)
        return graph.add("GatherElements", self.written_horizon(graph, history, context), step, axis=1)
