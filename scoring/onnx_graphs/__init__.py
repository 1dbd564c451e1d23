"""ONNX graphs: how they are run, and the graph of a neural network."""
