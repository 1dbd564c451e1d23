"""German customers: simulated people in real places, with planted effects that a pipeline must recover."""
