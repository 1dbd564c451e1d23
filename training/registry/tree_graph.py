"""A tree ensemble as an ONNX graph (operator TreeEnsemble of opset 5) with exact thresholds.

A library may round a feature to single precision before it compares it. Rounding is monotone, so such a split still
decides at one double: `last_left` finds it. The graph then compares doubles, and every double takes the branch that
the library takes.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from lakehouse.arrays import Floats
from scoring.compiled.trees import LEAVES, METADATA_KEY, ROWS, SUMS, CompiledTrees, TreesMetadata

LEQ, LT, MEMBER = 0, 1, 6  # modes of the operator
SUM, NONE = 1, 0  # its aggregate function and its post transform
OPSETS, IR_VERSION = {"": 21, "ai.onnx.ml": 5}, 10


@dataclass(frozen=True)
class Child:
    """A child of a node: a leaf or another node, by index."""

    is_leaf: bool
    index: int


def last_left(threshold: float) -> float:
    """The largest double x for which `float32(x) <= threshold` holds; x is rounded to nearest, ties to even.

    Let f be the largest float32 at most as large as the threshold, and m the middle between f and the next float32.
    Doubles below m round to f or less, doubles above m to more. m itself rounds to f if the last bit of f is 0.

    >>> last_left(0.5) == 0.5 + 2.0**-25
    True
    >>> float(np.float32(last_left(16777217.0)))
    16777216.0
    """
    below = np.float32(threshold)
    if float(below) > threshold:
        below = np.nextafter(below, np.float32(-np.inf))
    above = np.nextafter(below, np.float32(np.inf))
    middle = (float(below) + float(above)) / 2  # exact: doubles have 29 bits more
    is_even = int(below.view(np.int32)) % 2 == 0
    return middle if is_even else float(np.nextafter(middle, -np.inf))


@dataclass
class TreeGraph:
    """Trees in the making.

    Attributes:
        columns: number of input columns.
        outputs: number of outputs; each tree adds to those of its leaves.
        single: True if the library sums in single precision and compares float32 with float32.
        takes_missing: True if numbers may be missing: each split then says where NaN goes.
    """

    columns: int
    outputs: int
    single: bool = False
    takes_missing: bool = False
    _nodes: list[tuple[int, int, float, Child, Child, bool]] = field(default_factory=list)
    _members: dict[int, list[float]] = field(default_factory=dict)
    _leaves: list[tuple[int, float]] = field(default_factory=list)
    _table: list[Sequence[float]] = field(default_factory=list)
    _roots: list[int] = field(default_factory=list)

    def leaf(self, value: float, output: int = 0) -> Child:
        """A leaf that adds a value to an output."""
        self._leaves.append((output, value))
        return Child(True, len(self._leaves) - 1)

    def leaf_of_many(self, values: Sequence[float]) -> Child:
        """A leaf of the tree in the making with a value for each output."""
        self._table.append(values)
        self._leaves.append((len(self._roots), float(len(self._table) - 1)))
        return Child(True, len(self._leaves) - 1)

    def split(  # noqa: PLR0913  (a split of any library)
        self, column: int, threshold: float, left: Child, right: Child, *, missing_left: bool = False, mode: int = LEQ
    ) -> Child:
        """A node that goes left if the value is at most the threshold, or below it; `missing_left`: NaN too."""
        return self._node(column, mode, threshold, left, right, missing_true=missing_left)

    def membership(self, column: int, members: Collection[int], inside: Child, outside: Child) -> Child:
        """A node that tests a category index."""
        if not members:
            return outside
        node = self._node(column, MEMBER, 0.0, inside, outside)
        self._members[node.index] = sorted(map(float, members))
        return node

    def tree(self, root: Child) -> None:
        """Complete a tree. A tree of one leaf becomes a node with that leaf on both sides."""
        self._roots.append((self._node(0, LEQ, 0.0, root, root) if root.is_leaf else root).index)

    def compiled(self, metadata: TreesMetadata) -> CompiledTrees:
        """The graph of all trees."""
        from onnx import TensorProto, helper, numpy_helper

        table = np.asarray(self._table, dtype=np.float64) if self._table else None
        width = len(self._roots) if self._table else self.outputs
        kind = TensorProto.FLOAT if self.single else TensorProto.DOUBLE
        nodes = [helper.make_node("TreeEnsemble", [ROWS], [SUMS], domain="ai.onnx.ml", **self._attributes(width))]
        outputs = [helper.make_tensor_value_info(SUMS, kind, [None, width])]
        initializers = []
        if table is not None:
            nodes.append(helper.make_node("Identity", ["table"], [LEAVES]))
            outputs.append(helper.make_tensor_value_info(LEAVES, TensorProto.DOUBLE, list(table.shape)))
            initializers.append(numpy_helper.from_array(table, "table"))
        rows = helper.make_tensor_value_info(ROWS, kind, [None, self.columns])
        graph = helper.make_graph(nodes, "trees", [rows], outputs, initializers)
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        model.metadata_props.add(key=METADATA_KEY, value=json.dumps(asdict(metadata)))
        return CompiledTrees(model.SerializeToString())

    def _node(  # noqa: PLR0913  (a row of the operator's tables)
        self, column: int, mode: int, threshold: float, true: Child, false: Child, *, missing_true: bool = False
    ) -> Child:
        self._nodes.append((column, mode, float(threshold), true, false, missing_true))
        return Child(False, len(self._nodes) - 1)

    def _attributes(self, width: int) -> dict[str, Any]:
        from onnx import numpy_helper

        columns, modes, splits, true, false, missing_true = zip(*self._nodes, strict=True)
        number = np.float32 if self.single else np.float64

        def tensor(values: Sequence[float] | Floats, kind: Any) -> Any:
            return numpy_helper.from_array(np.asarray(values, dtype=kind))

        attributes = {
            "n_targets": width,
            "aggregate_function": SUM,
            "post_transform": NONE,
            "tree_roots": self._roots,
            "nodes_modes": tensor(modes, np.uint8),
            "nodes_featureids": list(columns),
            "nodes_splits": tensor(splits, number),
            "nodes_truenodeids": [child.index for child in true],
            "nodes_trueleafs": [int(child.is_leaf) for child in true],
            "nodes_falsenodeids": [child.index for child in false],
            "nodes_falseleafs": [int(child.is_leaf) for child in false],
            "leaf_targetids": [output for output, _ in self._leaves],
            "leaf_weights": tensor([value for _, value in self._leaves], number),
        }
        # The values of each membership node, in the order of the nodes, with NaN behind each.
        members = [value for _, values in sorted(self._members.items()) for value in [*values, np.nan]]
        if self.takes_missing:
            attributes["nodes_missing_value_tracks_true"] = [int(tracks) for tracks in missing_true]
        return attributes | ({"membership_values": tensor(members, number)} if members else {})


def thresholds_of(compiled: CompiledTrees) -> Iterator[tuple[int, float]]:
    """The feature and the threshold of each split of numbers; not those of target means."""
    from onnx import load_from_string, numpy_helper

    metadata = compiled.metadata
    encoded = [feature for feature, _ in metadata.means]
    front = sum(len(table[0]) for _, table in metadata.means)
    model = load_from_string(compiled.graph)
    attributes = {each.name: each for each in model.graph.node[0].attribute}
    width = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value - front + len(encoded)
    features = [None] * front + [feature for feature in range(width) if feature not in encoded]
    columns, modes = attributes["nodes_featureids"].ints, numpy_helper.to_array(attributes["nodes_modes"].t)
    splits = numpy_helper.to_array(attributes["nodes_splits"].t)
    for column, mode, split in zip(columns, modes.tolist(), splits.tolist(), strict=True):
        if mode != MEMBER and (feature := features[column]) is not None:
            yield feature, split
