"""Learners of transformers over texts, in PyTorch: trained from scratch, or from a pretrained checkpoint."""

from typing import Any

import numpy as np

from lakehouse.arrays import Floats
from training.networks.targets import LearnedLabels
from training.networks.texts.encoder_shape import EncoderShape
from training.networks.texts.inputs import TextInputs
from training.networks.texts.pretrained import Pretrained
from training.networks.torch_learners import TorchLearner

PRETRAINED_RATE = 0.05  # learning rate of pretrained weights, as a multiple of that of the last layer


class TextTransformerLearner(TorchLearner):
    """A small encoder, trained from scratch on rows of `TokenRows`."""

    def _inputs(self, rows: Floats, sizes: dict[int, int]) -> TextInputs:
        return TextInputs.of(rows, sizes, self.shape["tokens"])

    def network(self, inputs: Any, targets: LearnedLabels) -> Any:
        from training.networks.texts.encoder import TextEncoder

        sizes = {name: self.shape[name] for name in ("vocabulary", "width", "blocks", "heads")}
        shape = EncoderShape(**sizes, positions=self.shape["tokens"], hidden=4 * self.shape["width"])
        return TextEncoder(inputs, targets.outputs, shape, dropout=self.shape["dropout"])


class FineTunedLearner(TextTransformerLearner):
    """A pretrained encoder, whose weights are trained further on rows of `TokenRows`."""

    def network(self, inputs: Any, targets: LearnedLabels) -> Any:
        import torch

        from training.networks.texts.encoder import TextEncoder

        pretrained = Pretrained.read(self.shape["checkpoint"])
        network = TextEncoder(
            inputs,
            targets.outputs,
            pretrained.shape,
            dropout=self.shape["dropout"],
            pretrained_rate=PRETRAINED_RATE,
        )
        weights = {name: torch.from_numpy(np.array(values)) for name, values in pretrained.weights().items()}
        missing, unexpected = network.load_state_dict(weights, strict=False)
        left = [name for name in missing if not name.startswith(("last", "embeddings"))]
        if left or unexpected:
            raise ValueError(f"weights do not fit the encoder: {', '.join([*left, *unexpected])}")
        return network
