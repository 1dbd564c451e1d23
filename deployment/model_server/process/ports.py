"""Ports and processes of this machine: free ports, the process on a port, and start times."""

import os
import re
import socket
import subprocess
from pathlib import Path

from lakehouse.errors import LakehouseError

LISTENING = "0A"  # the state LISTEN in /proc/net/tcp
PORTS_TRIED, MAX_PORT = 20, 65535


class PortTaken(LakehouseError):
    """The server cannot listen at its address."""

    @classmethod
    def at(cls, host: str, port: int, reason: OSError) -> "PortTaken":
        holder = holder_of(port)
        return cls(
            f"the model server cannot listen at {host}:{port}: "
            + (f"process {holder} uses the port" if holder else str(reason.strerror).lower()),
            hint="Stop that process, or use another port: python -m deployment.run serve --port "
            f"{port + 1 if port < MAX_PORT else 8080}",
        )


def check_free(host: str, port: int) -> None:
    """Check that the server can listen at an address.

    Raises:
        PortTaken: it cannot.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # The server's socket uses SO_REUSEPORT and would share the port. This one does not, so it finds a conflict.
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as err:
        raise PortTaken.at(host, port, err) from err


def next_free(host: str, port: int) -> int | None:
    """The next port above `port` at which the server can listen; None if the next `PORTS_TRIED` are taken."""
    for candidate in range(port + 1, min(port + PORTS_TRIED, MAX_PORT) + 1):
        try:
            check_free(host, candidate)
        except PortTaken:
            continue
        return candidate
    return None


def holder_of(port: int) -> str | None:
    """`PID (name)` of the process that listens at a port, if /proc shows it."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for link in Path("/proc").glob("[0-9]*/fd/*") if inodes else ():
        try:
            if str(link.readlink()) in inodes:
                return f"{link.parts[2]} ({Path('/proc', link.parts[2], 'comm').read_text().strip()})"
        except OSError:  # the process ended, or belongs to another user
            continue
    return None


def started_at(pid: int) -> str | None:
    """Start time of a running process as an opaque text; None if it does not run.

    The system reuses process numbers. Number and start time together identify one process.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The process name in parentheses can contain spaces and parentheses; the fields after it cannot.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        # The main thread can end while further threads still hold the files and the port of the process.
        return None if fields[0] == "Z" and fields[17] == "1" else fields[19]
    listed = subprocess.run(
        ["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    return " ".join(listed[1:]) if listed and not listed[0].startswith("Z") else None


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if os.access(table, os.R_OK) else ():
            fields = line.split()
            if fields[3] == LISTENING and re.fullmatch(rf".*:{port:04X}", fields[1]):
                inodes.add(fields[9])
    return inodes
