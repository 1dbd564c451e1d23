"""Keys of a frame: one value for each entity, whatever the types and the number of its key columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def entity_keys(rows: pa.Table, names: Sequence[str]) -> npt.NDArray[Any]:
    """(rows,) the entity of each row, in the type of its key; several keys are one text.

    Different entities have different keys. A hash of the keys decides the side of an entity and pins a holdout, so
    keys must stay what they were when a version was registered.

    >>> entity_keys(pa.table({"a": ["x", "x|y"], "b": ["y|z", "z"]}), ["a", "b"]).tolist()
    ['x|y\\\\|z', 'x\\\\|y|z']
    """
    if len(names) > 1:
        columns = (map(_escaped, rows[name].to_pylist()) for name in names)
        return np.asarray(["|".join(key) for key in zip(*columns, strict=True)])
    column = rows[names[0]]
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return np.asarray([_binary_text(value) for value in column.to_pylist()], dtype=object)
    if pa.types.is_nested(column.type):
        return np.asarray(list(map(str, column.to_pylist())), dtype=object)
    return np.asarray(column.to_numpy())


def _escaped(value: object) -> str:
    """A value as text in which a bar is escaped: the bars between the keys are the only others."""
    return str(value).replace("\\", "\\\\").replace("|", "\\|")


def _binary_text(value: bytes) -> str:
    """Plain ASCII as it is, anything else in hexadecimal; numpy would cut zero bytes at the end."""
    plain = value.isascii() and b"\0" not in value and not value.startswith(b"0x")
    return value.decode("ascii") if plain else f"0x{value.hex()}"
