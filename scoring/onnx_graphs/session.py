"""A session of the ONNX runtime on one thread."""

from typing import Any

import onnxruntime


def open_session(graph: bytes) -> Any:
    """A session that runs the graph on one thread."""
    options = onnxruntime.SessionOptions()
    # One row is predicted before a second thread would start, several threads would sum in another order, and other
    # requests need the cores.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
