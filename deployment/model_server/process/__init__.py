"""The server process: start, supervision, stop, logging."""
