"""From a raw record to an answer: what training, batch scoring, the endpoint and the gate share."""
