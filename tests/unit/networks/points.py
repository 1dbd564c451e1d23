"""A point of the space of each family of networks, and what tests of them share."""

from collections.abc import Mapping

import pytest

from training.models import FAMILIES
from training.space.space import Params

_SHARED: Params = {"class_weight": None, "recency_half_life_days": None, "max_epochs": 16}
NETWORKS: Mapping[str, Params] = {
    "mlp": {"learning_rate": 0.05, "width": 64, "dropout": 0.0, "frequency": 0.1, "weight_decay": 0.01, **_SHARED},
    "ft_transformer": {
        "learning_rate": 0.003,
        "blocks": 2,
        "width": 32,
        "dropout": 0.0,
        "weight_decay": 1e-4,
        **_SHARED,
    },
    "keras_mlp": {"learning_rate": 0.01, "layers": 2, "width": 64, "dropout": 0.0, "weight_decay": 1e-3, **_SHARED},
}
PACKAGES = {"torch": "torch", "tensorflow": "keras", "text": "tokenizers"}


def require(family: str) -> None:
    """Skip the test if the extra of the family is not installed."""
    for extra in FAMILIES[family].extras:
        pytest.importorskip(PACKAGES[extra], reason=f"the extra {extra} is not installed: make {extra}")
