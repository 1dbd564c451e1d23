"""HTTP: bodies, responses, errors, tokens, TLS."""
