"""The request log: what was asked and answered, written to payload tables by a thread of its own.

A request pays for a place in a queue and no more. The queue is bounded: when the tables cannot be written, or not as
fast as requests come, the log loses rows and says how many; it never slows an answer and never fills the memory.
"""

import logging
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from deployment.model_server import payload_table
from deployment.model_server.ai_gateway import InferenceTable
from deployment.model_server.payload_table import Exchange, LogRule

LOG = logging.getLogger(__name__)
ROWS, BYTES = 20_000, 64 * 1024 * 1024  # that may wait
SECONDS = 5.0  # between two commits of a table
Entry = tuple[Path, Exchange, LogRule]
Append = Callable[[Path, list[dict[str, object]]], None]


class RequestLog:
    """Takes exchanges, and sees that they reach their tables."""

    def __init__(
        self,
        warehouse: Path,
        draw: Callable[[], float],
        seconds: float = SECONDS,
        append: Append = payload_table.append,
    ) -> None:
        """`draw` returns a number from [0, 1), by which a share of the requests is chosen."""
        self._warehouse = warehouse
        self._draw = draw
        self._seconds = seconds
        self._append = append
        self._waiting: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._rows = self._bytes = self.lost = 0
        self._writer: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Rows that are to be written."""
        return self._rows

    def offer(self, table: InferenceTable, exchange: Exchange, rule: LogRule) -> None:
        """Log an exchange, if the sampling rate chooses it and there is room."""
        if rule.sampling < 1 and self._draw() >= rule.sampling:
            return
        with self._lock:
            if self._rows >= ROWS or self._bytes + exchange.size > BYTES:
                self.lost += 1
                return
            self._rows += 1
            self._bytes += exchange.size
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_all, name="request log", daemon=True)
                self._writer.start()
        self._waiting.put(
            (self._warehouse / table.schema_name / f"{table.table_name_prefix}_payload", exchange, rule)
        )

    def close(self) -> None:
        """Write all that was offered; returns when that is done."""
        if self._writer is not None:
            self._waiting.put(None)
            self._writer.join()

    def _write_all(self) -> None:
        kept: list[Entry] = []
        ended = False
        while not ended:
            taken, ended = self._take()
            kept = self._write([*kept, *taken])
        if kept:
            self.lost += len(kept)
            LOG.error("the request log could not write its last %s row(s)", len(kept))

    def _take(self) -> tuple[list[Entry], bool]:
        """What comes within the time between two commits, and whether that was the end."""
        taken, until = list[Entry](), time.monotonic() + self._seconds
        while (left := until - time.monotonic()) > 0 and len(taken) < ROWS:
            try:
                entry = self._waiting.get(timeout=left)
            except queue.Empty:
                break
            if entry is None:
                return taken, True
            taken.append(entry)
        return taken, False

    def _write(self, entries: list[Entry]) -> list[Entry]:
        """Write each table's rows in one commit; what could not be written is tried again with the next."""
        tables: defaultdict[Path, list[Entry]] = defaultdict(list)
        for entry in entries:
            tables[entry[0]].append(entry)
        kept = []
        for folder, of_table in tables.items():
            try:
                self._append(folder, [exchange.row(rule) for _, exchange, rule in of_table])
            except Exception:  # a writer raises what its storage does; the next commit tries again
                LOG.exception("the request log cannot write %s row(s) to %s", len(of_table), folder)
                kept += of_table
                continue
            with self._lock:
                self._rows -= len(of_table)
                self._bytes -= sum(exchange.size for _, exchange, _ in of_table)
        if self.lost:
            LOG.warning("the request log had no room for %s row(s) since the server started", self.lost)
        return kept
