"""Ports and processes of this machine: is a port free, who holds it, when did a process start."""

import os
import re
import socket
import subprocess
from pathlib import Path

from lakehouse.errors import LakehouseError

LISTENING = "0A"


class PortTaken(LakehouseError):
    """Another process listens where the server should."""

    @classmethod
    def at(cls, host: str, port: int, reason: OSError) -> "PortTaken":
        holder = holder_of(port)
        return cls(
            f"the model server cannot listen at {host}:{port}: "
            + (f"process {holder} holds the port" if holder else str(reason.strerror).lower()),
            hint=f"Stop that process, or serve elsewhere: python -m deployment.run serve --port {port + 1}",
        )


def check_free(host: str, port: int) -> None:
    """Pass if the server could listen there.

    Raises:
        PortTaken: it could not.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # The server's own socket shares its port with whoever also shares; this one does not, so it finds them.
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as err:
        raise PortTaken.at(host, port, err) from err


def holder_of(port: int) -> str | None:
    """`PID (name)` of the process that listens at a port, where /proc tells it."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for link in Path("/proc").glob("[0-9]*/fd/*") if inodes else ():
        try:
            if str(link.readlink()) in inodes:
                return f"{link.parts[2]} ({Path('/proc', link.parts[2], 'comm').read_text().strip()})"
        except OSError:  # it ended meanwhile, or is another user's
            continue
    return None


def started_at(pid: int) -> str | None:
    """When a running process started, in a form that only compares; None if it does not run.

    A process number is used again and again; together with this it names one process.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The name in parentheses may hold anything; the fields after it do not.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        # Its first thread may have ended while others of it still hold its files and its port.
        return None if fields[0] == "Z" and fields[17] == "1" else fields[19]
    shown = subprocess.run(
        ["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    return " ".join(shown[1:]) if shown and not shown[0].startswith("Z") else None


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if os.access(table, os.R_OK) else ():
            fields = line.split()
            if fields[3] == LISTENING and re.fullmatch(rf".*:{port:04X}", fields[1]):
                inodes.add(fields[9])
    return inodes
