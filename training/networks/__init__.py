"""Neural networks for dense rows: PyTorch or Keras fits them, and an ONNX graph of our own predicts."""
