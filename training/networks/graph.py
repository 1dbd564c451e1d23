"""A network as an ONNX graph in the making.

We write the graph ourselves: its batch is free by construction, writing takes milliseconds a fit, and both libraries
get one form. Exporters fix the batch without a word where a module reshapes by its size (docs/adr).
"""

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from scoring.onnx_graphs.network_graph import METADATA_KEY, ROWS, SUMS

OPSET, IR_VERSION = 21, 10


@dataclass
class GraphBuilder:
    """Nodes and constants, added one after another; each has a name made by its number.

    Attributes:
        columns: number of input columns.
        rows: name of the input, (rows, columns) doubles.
    """

    FLOAT: ClassVar[int] = 1  # types of ONNX
    INT64: ClassVar[int] = 7
    DOUBLE: ClassVar[int] = 11

    columns: int
    rows: str = ROWS
    _nodes: list[Any] = field(default_factory=list)
    _constants: list[Any] = field(default_factory=list)

    def constant(self, value: npt.ArrayLike) -> str:
        """Add a constant of the type of its array; return its name."""
        from onnx import numpy_helper

        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value).reshape(np.shape(value)), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output; return the name of the output."""
        return self.add_many(operator, *inputs, outputs=1, **attributes)[0]

    def add_many(self, operator: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Add a node with several outputs; return their names."""
        from onnx import helper

        names = [f"n{len(self._nodes)}_{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names

    def linear(self, name: str, weights: npt.NDArray[np.float32], bias: npt.NDArray[np.float32] | None = None) -> str:
        """Add a product with (inputs, outputs) weights, and the bias."""
        product = self.add("MatMul", name, self.constant(weights))
        return product if bias is None else self.add("Add", product, self.constant(bias))

    def serialised(  # noqa: PLR0913  (each is a part of the graph)
        self,
        output: str,
        width: int,
        link: str,
        *,
        scale: float = 1.0,
        offset: float = 0.0,
        alone: bool = False,
    ) -> bytes:
        """The graph, whose sums are the output in double precision, times the scale, plus the offset.

        Args:
            width: columns of the output.
            link: name in `scoring.compiled.links.LINKS`.
            alone: True if each row is to be run alone; see `NetworkGraph`.
        """
        from onnx import TensorProto, helper

        sums = self.add("Cast", output, to=self.DOUBLE)
        if (scale, offset) != (1.0, 0.0):
            scaled = self.add("Mul", sums, self.constant(np.float64(scale)))
            sums = self.add("Add", scaled, self.constant(np.float64(offset)))
        nodes = [*self._nodes, helper.make_node("Identity", [sums], [SUMS])]
        rows = helper.make_tensor_value_info(ROWS, TensorProto.DOUBLE, [None, self.columns])
        outputs = [helper.make_tensor_value_info(SUMS, TensorProto.DOUBLE, [None, width])]
        graph = helper.make_graph(nodes, "network", [rows], outputs, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        model.metadata_props.add(key=METADATA_KEY, value=json.dumps({"link": link, "alone": alone}))
        return bytes(model.SerializeToString())
