"""Load on a server: many requests over a few connections, and what came back."""

import asyncio
import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lakehouse.errors import LakehouseError

_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


class LoadFailed(LakehouseError):
    """The load could not be made, or some of it was not answered."""

    @classmethod
    def no_wrk(cls) -> "LoadFailed":
        return cls("there is no wrk on the PATH", hint="Install it, for instance: apt-get install wrk")


@dataclass(frozen=True)
class Answered:
    """What a load got; times in milliseconds."""

    p50: float
    p99: float
    per_second: float

    @property
    def cells(self) -> list[str]:
        return [f"{self.p50:.2f} ms", f"{self.p99:.2f} ms", f"{self.per_second:,.0f}"]


def wrk(url: str, headers: Mapping[str, str], body: Any, *, connections: int, seconds: int) -> Answered:
    """Post one body over and over, on one thread.

    Raises:
        LoadFailed: wrk is missing, or an answer was none or no 2xx.
    """
    if shutil.which("wrk") is None:
        raise LoadFailed.no_wrk()
    named = {"content-type": "application/json", **headers}
    script = ['wrk.method = "POST"', *(f'wrk.headers["{name}"] = "{value}"' for name, value in named.items())]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write("\n".join([*script, f"wrk.body = [==[{json.dumps(body)}]==]"]))
        file.flush()
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--timeout",
            "60s",
            "--latency",
            "-s",
            file.name,
            url,
        ]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if wrong := re.search(r"Non-2xx.*|Socket errors.*", said):
        raise LoadFailed(f"{url}: {wrong[0]}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert rate is not None, said
    return Answered(_milliseconds(said, "50%"), _milliseconds(said, "99%"), float(rate[1]))


def _milliseconds(said: str, percentile: str) -> float:
    found = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s|m)\s", said)
    assert found is not None, said
    return float(found[1]) * _UNITS[found[2]]


async def count(
    url: str, headers: Mapping[str, str], body: Any, turns: Iterable[int], connections: int
) -> Counter[Any]:
    """Post one body for each turn, and count the answers by status, `served-model-name` and body.

    Each connection sends its next request when it has the answer to the last; one that breaks ends the count.
    """
    left, found = iter(turns), Counter[Any]()
    asked = _request(url, headers, json.dumps(body).encode())

    async def client() -> None:
        at = urlsplit(url)
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        for _ in left:
            writer.write(asked)
            found[await _answer(reader)] += 1
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    return found


def _request(url: str, headers: Mapping[str, str], body: bytes) -> bytes:
    at = urlsplit(url)
    named = {"host": at.netloc, "content-type": "application/json", "content-length": str(len(body)), **headers}
    lines = [f"POST {at.path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, str, bytes]:
    status = int((await reader.readline()).split()[1])
    headers = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers["content-length"]))
    return status, headers.get("served-model-name", ""), body


def memory(pid: int) -> int:
    """Bytes that a process and all below it hold in memory now."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return (int(found[1]) * 1024 if found else 0) + sum(memory(int(child)) for child in children)
