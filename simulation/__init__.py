"""German customers: simulated people in real places, whose planted effects a pipeline can be held to."""
