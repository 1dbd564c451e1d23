"""Load on a server: many requests over a few connections, and the measured responses."""

import asyncio
import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count as counted
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from lakehouse.errors import LakehouseError

TURN = "@turn"  # in a body, replaced by another number each time, so that no server remembers the text around it
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
_FIRST_TURNS = counted(0, 10_000_000)
_WITH_TURNS = f"""
local turn, template = %d, wrk.body
request = function()
  local body = template:gsub("{TURN}", function() turn = turn + 1; return string.format("%%d", turn) end)
  return wrk.format(nil, nil, nil, body)
end
"""


class LoadFailed(LakehouseError):
    """The load did not run, or some requests had no valid response."""

    @classmethod
    def no_wrk(cls) -> "LoadFailed":
        return cls("wrk is not on the PATH", hint="Install it, for example: apt-get install wrk")


class Loaded(Protocol):
    """A server under load."""

    @property
    def url(self) -> str: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def pid(self) -> int: ...


@dataclass(frozen=True)
class LoadResult:
    """Latency percentiles of a load, in milliseconds, responses per second, and processor time of each.

    Attributes:
        processor: microseconds of the server for each request; they depend less on other load than latencies do.
    """

    p50: float
    p99: float
    per_second: float
    processor: float

    @property
    def cells(self) -> list[str]:
        return [
            f"{self.p50:.2f} ms",
            f"{self.p99:.2f} ms",
            f"{self.per_second:,.0f}",
            f"{self.processor:.0f} us",
        ]


def wrk(server: Loaded, body: Any, *, connections: int, seconds: int) -> LoadResult:
    """Post one body repeatedly, on one thread; each `TURN` in it is another number each time.

    Raises:
        LoadFailed: wrk is missing, or a response is missing or not 2xx.
    """
    if shutil.which("wrk") is None:
        raise LoadFailed.no_wrk()
    url, before = server.url, processor_time(server.pid)
    all_headers = {"content-type": "application/json", **server.headers}
    script = ['wrk.method = "POST"', *(f'wrk.headers["{name}"] = "{value}"' for name, value in all_headers.items())]
    content = json.dumps(body)
    script.append(f"wrk.body = [==[{content}]==]")
    if TURN in content:
        script.append(_WITH_TURNS % next(_FIRST_TURNS))
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write("\n".join(script))
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
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if wrong := re.search(r"Non-2xx.*|Socket errors.*", output):
        raise LoadFailed(f"{url}: {wrong[0]}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    requests = re.search(r"(\d+) requests in", output)
    assert rate is not None and requests is not None, output
    processor = (processor_time(server.pid) - before) * 1e6 / int(requests[1])
    return LoadResult(_milliseconds(output, "50%"), _milliseconds(output, "99%"), float(rate[1]), processor)


def _milliseconds(output: str, percentile: str) -> float:
    match = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s|m)\s", output)
    assert match is not None, output
    return float(match[1]) * _UNITS[match[2]]


async def count(
    url: str, headers: Mapping[str, str], body: Any, turns: Iterable[int], connections: int
) -> Counter[Any]:
    """Post one body for each turn, and count the responses by status, `served-model-name` and body.

    Each connection sends its next request after the previous response. A broken connection ends the count.
    """
    remaining, responses = iter(turns), Counter[Any]()
    request = _request(url, headers, json.dumps(body).encode())

    async def client() -> None:
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for _ in remaining:
            writer.write(request)
            responses[await _response(reader)] += 1
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    return responses


def _request(url: str, headers: Mapping[str, str], body: bytes) -> bytes:
    address = urlsplit(url)
    all_headers = {
        "host": address.netloc,
        "content-type": "application/json",
        "content-length": str(len(body)),
        **headers,
    }
    lines = [f"POST {address.path} HTTP/1.1", *(f"{name}: {value}" for name, value in all_headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _response(reader: asyncio.StreamReader) -> tuple[int, str, bytes]:
    status = int((await reader.readline()).split()[1])
    headers = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers["content-length"]))
    return status, headers.get("served-model-name", ""), body


def memory(pid: int) -> int:
    """Resident memory of a process and its descendants, in bytes."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    resident = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return (int(resident[1]) * 1024 if resident else 0) + sum(memory(int(child)) for child in children)


def processor_time(pid: int) -> float:
    """Processor time of a process and its descendants, in seconds."""
    used = 0.0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # the thread has ended
            used += int((thread / "schedstat").read_text().split()[0]) / 1e9
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return used + sum(processor_time(int(child)) for child in children)
