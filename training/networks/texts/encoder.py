"""A transformer over the tokens of a text, in the architecture of BERT (Devlin et al., 2018).

Small and trained from scratch, or with the weights of a pretrained checkpoint. The last layer predicts from the mean
of the last states, beside the other inputs of the row.
"""

from math import sqrt

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.networks.graph import GraphBuilder
from training.networks.pytorch.written import array, linear, normalised
from training.networks.texts.encoder_shape import EncoderShape
from training.networks.texts.inputs import TextInputs

MASKED = -10_000.0  # added to the attention to a place without a token
MOST_EMBEDDED = 8  # width of the embedding of a category


class EncoderBlock(nn.Module):
    """Attention among the tokens, then two layers for each; both are added to their input and normalised."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.heads, self.dropout, width = shape.heads, 0.0, shape.width
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.mixed = nn.Linear(width, width)
        self.first_norm = nn.LayerNorm(width, eps=shape.nearly_zero)
        self.widened, self.narrowed = nn.Linear(width, shape.hidden), nn.Linear(shape.hidden, width)
        self.second_norm = nn.LayerNorm(width, eps=shape.nearly_zero)

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """(rows, tokens, width) of the same; `bias` is added to the attention to each token."""
        parts = [layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in self._projections]
        together = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], attn_mask=bias)
        attended = self.mixed(together.transpose(1, 2).flatten(2))
        x = self.first_norm(x + functional.dropout(attended, self.dropout, self.training))
        narrowed = self.narrowed(functional.gelu(self.widened(x)))
        output: torch.Tensor = self.second_norm(x + functional.dropout(narrowed, self.dropout, self.training))
        return output

    @property
    def _projections(self) -> tuple[nn.Linear, nn.Linear, nn.Linear]:
        return self.query, self.key, self.value

    def written(self, graph: GraphBuilder, x: str, bias: str) -> str:
        """Write the block into a graph; return the name of its output."""
        width = self.mixed.weight.shape[0]
        part = width // self.heads
        shape = graph.constant(np.asarray([0, 0, self.heads, part], dtype=np.int64))  # 0: as in the input
        orders = [0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]
        query, key, value = (
            graph.add("Transpose", graph.add("Reshape", linear(graph, x, layer), shape), perm=order)
            for layer, order in zip(self._projections, orders, strict=True)
        )
        scores = graph.add("Mul", graph.add("MatMul", query, key), graph.constant(np.float32(1 / sqrt(part))))
        weights = graph.add("Softmax", graph.add("Add", scores, bias), axis=-1)
        together = graph.add("Transpose", graph.add("MatMul", weights, value), perm=[0, 2, 1, 3])
        joined = graph.add("Reshape", together, graph.constant(np.asarray([0, 0, width], dtype=np.int64)))
        x = normalised(graph, graph.add("Add", x, linear(graph, joined, self.mixed)), self.first_norm)
        widened = graph.add("Gelu", linear(graph, x, self.widened))
        return normalised(graph, graph.add("Add", x, linear(graph, widened, self.narrowed)), self.second_norm)


class TextEncoder(nn.Module):
    """The network.

    Args:
        inputs: the prepared inputs.
        outputs: width of the last layer.
        shape: sizes of the encoder.
        dropout: share that is dropped; its schedule is `training.networks.schedule`.
        pretrained_rate: learning rate of the encoder, as a multiple of that of the last layer.
    """

    def __init__(
        self, inputs: TextInputs, outputs: int, shape: EncoderShape, *, dropout: float, pretrained_rate: float = 1.0
    ) -> None:
        super().__init__()
        self.inputs, self.highest_dropout, self.dropout = inputs, dropout, 0.0
        self.pretrained_rate = pretrained_rate
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.positions, shape.width)
        for embedding in (self.words, self.positions):
            nn.init.normal_(embedding.weight, std=0.02)
        self.norm = nn.LayerNorm(shape.width, eps=shape.nearly_zero)
        self.blocks = nn.ModuleList(EncoderBlock(shape) for _ in range(shape.blocks))
        self.embeddings = nn.ModuleList(nn.Embedding(size, min(MOST_EMBEDDED, size)) for size in inputs.sizes)
        others = inputs.numbers + sum(min(MOST_EMBEDDED, size) for size in inputs.sizes)
        self.last = nn.Linear(shape.width + others, outputs)

    def forward(self, numbers: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
        """(rows, outputs) of (rows, numbers) and (rows, indices + tokens)."""
        count = len(self.embeddings)
        states = self.states(categories[:, count:])
        others = [embedding(categories[:, index]) for index, embedding in enumerate(self.embeddings)]
        joined = torch.cat([states, numbers, *others], dim=1)
        output: torch.Tensor = self.last(functional.dropout(joined, self.dropout, self.training))
        return output

    def states(self, tokens: torch.Tensor) -> torch.Tensor:
        """(rows, width) the mean of the last states of the tokens of each text."""
        is_token = (tokens != 0).to(self.words.weight.dtype)
        bias = ((1 - is_token) * MASKED)[:, None, None, :]
        x = self.norm(self.words(tokens) + self.positions.weight[: tokens.shape[1]])
        x = functional.dropout(x, self.dropout, self.training)
        for block in self.blocks:
            x = block(x, bias)
        mean: torch.Tensor = (x * is_token[:, :, None]).sum(dim=1) / is_token.sum(dim=1, keepdim=True).clamp(min=1)
        return mean

    def set_dropout_share(self, share: float) -> None:
        """Set the dropout of the next step, as a share of the highest one."""
        self.dropout = self.highest_dropout * share
        for block in self.blocks:
            block.dropout = self.dropout

    def rate_of(self, name: str) -> float:
        """The learning rate of a parameter, as a multiple of the network's."""
        return 1.0 if name.startswith(("last", "embeddings")) else self.pretrained_rate

    def decays(self, name: str) -> bool:
        """True if weight decay applies to a parameter: to linear layers alone."""
        return name.endswith("weight") and "norm" not in name and not name.startswith(("words", "pos", "embeddings"))

    def written(self, graph: GraphBuilder) -> str:
        """Write the trained network into a graph; return the name of its output."""
        numbers, categories, tokens = self.inputs.written(graph)
        present = graph.add("Not", graph.add("Equal", tokens, graph.constant(np.int64(0))))
        is_token = graph.add("Cast", present, to=graph.FLOAT)
        absent = graph.add("Sub", graph.constant(np.float32(1)), is_token)
        places = graph.constant(np.asarray([1, 2], dtype=np.int64))
        bias = graph.add("Unsqueeze", graph.add("Mul", absent, graph.constant(np.float32(MASKED))), places)
        words = graph.add("Gather", graph.constant(array(self.words.weight)), tokens)
        positions = graph.constant(array(self.positions.weight)[: self.inputs.tokens])
        x = normalised(graph, graph.add("Add", words, positions), self.norm)
        for block in self.blocks:
            x = block.written(graph, x, bias)
        second = graph.constant(np.asarray([1], dtype=np.int64))
        kept = graph.add("Mul", x, graph.add("Unsqueeze", is_token, graph.constant(np.asarray([2], dtype=np.int64))))
        total = graph.add("ReduceSum", kept, second, keepdims=0)
        count = graph.add("Max", graph.add("ReduceSum", is_token, second, keepdims=1), graph.constant(np.float32(1)))
        parts = [graph.add("Div", total, count), *([numbers] if self.inputs.numbers else [])]
        for index, (embedding, category) in enumerate(zip(self.embeddings, categories, strict=True)):
            table = graph.constant(self.inputs.table(index, array(embedding.weight)))
            parts.append(graph.add("Gather", table, category))
        return linear(graph, graph.add("Concat", *parts, axis=1), self.last)
