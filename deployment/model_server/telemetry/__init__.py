"""Access log and traces, one entry a request."""
