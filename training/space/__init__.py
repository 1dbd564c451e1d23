"""Search spaces: dimensions and conditions, several families as one, inputs that a trial may leave out."""
