"""From a raw record to a response: what training, batch scoring, the endpoint and the gate share."""
