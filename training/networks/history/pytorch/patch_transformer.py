"""A transformer over patches of a history, as PatchTST has them (Nie et al., A time series is worth 64 words, 2023).

A patch of neighbouring values is a token, and so is the context of the row. Blocks of attention mix them, and the
last layer forecasts from all tokens. Patches overlap by half, and the newest one ends at the origin.
"""

from math import sqrt

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.networks.graph import GraphBuilder
from training.networks.history.inputs import HistoryInputs
from training.networks.history.pytorch.network import HistoryNetwork
from training.networks.pytorch.transformer_block import NEARLY_ZERO, TransformerBlock
from training.networks.pytorch.written import array, linear, normalised


class PatchTransformer(HistoryNetwork):
    """The network.

    Args:
        inputs: the prepared inputs.
        patch: count of the values of a patch, at most those of the history.
        blocks: number of blocks.
        width: width of a token.
        heads: parts in which a token attends; they divide the width.
        dropout: share that is dropped; its schedule is `training.networks.schedule`.
    """

    places: torch.Tensor

    def __init__(  # noqa: PLR0913  (options of a network)
        self, inputs: HistoryInputs, *, patch: int, blocks: int, width: int, heads: int, dropout: float
    ) -> None:
        super().__init__(inputs, dropout)
        places = patches(inputs.length, min(patch, inputs.length))
        self.register_buffer("places", torch.from_numpy(places), persistent=False)
        self.of_patch, self.of_context = nn.Linear(places.shape[1], width), nn.Linear(self.context, width)
        bound = 1 / sqrt(width)
        self.position = nn.Parameter(bound * (2 * torch.rand(len(places), width) - 1))
        self.blocks = nn.ModuleList(
            TransformerBlock(width, heads, normalises_first=number > 0) for number in range(blocks)
        )
        self.norm = nn.LayerNorm(width, eps=NEARLY_ZERO)
        self.last = nn.Linear((len(places) + 1) * width, inputs.horizon)
        nn.init.zeros_(self.last.weight)  # so that the first forecast is the mean of the labels
        nn.init.zeros_(self.last.bias)

    def horizon(self, history: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        tokens = self.of_patch(history[:, self.places]) + self.position
        x = torch.cat([tokens, self.of_context(context)[:, None]], dim=1)
        for block in self.blocks:
            x = block(x)
        output: torch.Tensor = self.last(functional.dropout(self.norm(x).flatten(1), self.dropout, self.training))
        return output

    def written_horizon(self, graph: GraphBuilder, history: str, context: str) -> str:
        places = graph.constant(self.places.cpu().numpy())
        tokens = linear(graph, graph.add("Gather", history, places, axis=1), self.of_patch)
        tokens = graph.add("Add", tokens, graph.constant(array(self.position)))
        token = graph.constant(np.asarray([1], dtype=np.int64))
        described = graph.add("Unsqueeze", linear(graph, context, self.of_context), token)
        x = graph.add("Concat", tokens, described, axis=1)
        for block in self.blocks:
            x = block.written(graph, x)
        return linear(graph, graph.add("Flatten", normalised(graph, x, self.norm), axis=1), self.last)


def patches(length: int, patch: int) -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
    """(patches, patch) places in the history of the values of each patch, the oldest patch first."""
    last = length - patch
    starts = sorted({*range(last, -1, -max(1, patch // 2)), 0})
    return np.asarray(starts, dtype=np.int64)[:, None] + np.arange(patch)
