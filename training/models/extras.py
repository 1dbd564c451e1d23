"""Extras: packages that only some families need, and that the environment has only if they were asked for."""

from collections.abc import Iterable
from importlib.util import find_spec

from lakehouse.errors import LakehouseError
from training.models import FAMILIES

# The name of each extra, and a package of it.
PACKAGES = {
    "torch": ("PyTorch", "torch"),
    "tensorflow": ("TensorFlow", "keras"),
    "text": ("tokenizers", "tokenizers"),
}


class ExtraMissing(LakehouseError):
    """A family needs an extra that is not installed."""

    @classmethod
    def of(cls, families: list[str], extra: str) -> "ExtraMissing":
        return cls(
            f"{' and '.join(families)} {'needs' if len(families) == 1 else 'need'} the extra {extra} "
            f"({PACKAGES[extra][0]}), which is not installed",
            hint=f"Install it: make {extra} (or pip install 'lakehouse-ml[{extra}]'), or name other --families.",
        )


def require_extras(families: Iterable[str]) -> None:
    """Check that the extras of the families are installed.

    Raises:
        ExtraMissing: one is not.
    """
    for extra, (_, package) in PACKAGES.items():
        needing = [name for name in families if extra in FAMILIES[name].extras]
        if needing and find_spec(package) is None:
            raise ExtraMissing.of(needing, extra)
