"""Parts of a trained module of PyTorch, written into a graph."""

from typing import Any

import numpy as np
import numpy.typing as npt

from training.networks.graph import GraphBuilder


def array(tensor: Any) -> npt.NDArray[np.float32]:
    """The values of a tensor in single precision."""
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype=np.float32)


def linear(graph: GraphBuilder, x: str, layer: Any) -> str:
    """Write a linear layer."""
    return graph.linear(x, np.ascontiguousarray(array(layer.weight).T), array(layer.bias))


def normalised(graph: GraphBuilder, x: str, norm: Any) -> str:
    """Write a normalisation of the last axis."""
    scale, bias = graph.constant(array(norm.weight)), graph.constant(array(norm.bias))
    return graph.add("LayerNormalization", x, scale, bias, axis=-1, epsilon=norm.eps)
