"""Ports for the servers that tests start."""

import socket
from random import SystemRandom

# Below those that systems give to connections by themselves: nobody gets it before its server starts, minutes later.
PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A port of this machine at which nobody listens."""
    for port in SystemRandom().sample(PORTS, 50):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"50 ports of {PORTS} are taken")
