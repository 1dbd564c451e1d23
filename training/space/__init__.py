"""Search spaces: dimensions and conditions, several families as one, inputs that a candidate may leave out."""
