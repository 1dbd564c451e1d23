"""The request log: a background thread writes requests and responses to payload tables.

A request only adds a row to a queue. Each table has a bounded queue. If its table cannot be written fast enough, the
queue drops rows and the log reports how many. This delays neither responses nor any further table.
"""

import logging
import threading
import time
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from pathlib import Path

from deployment.model_server.endpoints.ai_gateway import InferenceTable
from deployment.model_server.request_log import payload_table
from deployment.model_server.request_log.payload_table import Exchange
from lakehouse.wording import number_of

LOG = logging.getLogger(__name__)
MAX_QUEUED_ROWS, MAX_QUEUED_BYTES = 20_000, 64 * 1024 * 1024  # per table
COMMIT_SECONDS = 5.0  # between two commits of a table
MAX_RETRY_PAUSE = 300.0  # seconds until a failed write is retried
PayloadRow = dict[str, object]
Append = Callable[[Path, list[PayloadRow]], None]


@dataclass
class _Queue:
    """Rows waiting for one table, oldest first, and the number of consecutive failed writes."""

    exchanges: list[Exchange] = field(default_factory=list)
    bytes: int = 0
    failures: int = 0
    retry_at: float = 0.0

    def has_room(self, size: int) -> bool:
        return len(self.exchanges) < MAX_QUEUED_ROWS and self.bytes + size <= MAX_QUEUED_BYTES

    @property
    def half_full(self) -> bool:
        return len(self.exchanges) >= MAX_QUEUED_ROWS // 2 or self.bytes >= MAX_QUEUED_BYTES // 2

    def add(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self.bytes += exchange.size

    def replace(self, taken: list[Exchange], unwritten: list[Exchange]) -> None:
        """Replace the oldest rows, which a write took, by those that were not written."""
        self.exchanges[: len(taken)] = unwritten
        self.bytes += _size(unwritten) - _size(taken)


class RequestLog:
    """Queues exchanges and writes them to their payload tables."""

    def __init__(
        self,
        warehouse: Path,
        draw: Callable[[], float],
        tables_in_use: Callable[[], Set[InferenceTable]],
        seconds: float = COMMIT_SECONDS,
        append: Append = payload_table.append,
    ) -> None:
        """`draw` returns a number in [0, 1) for sampling; `tables_in_use`, the tables that endpoints log to."""
        self._warehouse = warehouse
        self._draw = draw
        self._tables_in_use = tables_in_use
        self._seconds = seconds
        self._append = append
        self._queues: dict[Path, _Queue] = {}
        self._lock = threading.Lock()
        self._wake, self._closed = threading.Event(), False
        self.lost = self._reported_lost = 0
        self._writer: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Number of rows not written yet."""
        with self._lock:
            return sum(len(queue.exchanges) for queue in self._queues.values())

    def offer(self, table: InferenceTable, exchange: Exchange) -> None:
        """Queue an exchange, if it is sampled and the queue has room."""
        if exchange.rule.sampling < 1 and self._draw() >= exchange.rule.sampling:
            return
        with self._lock:
            queue = self._queues.setdefault(self._folder(table), _Queue())
            if not queue.has_room(exchange.size):
                self.lost += 1
                return
            was_half_full = queue.half_full
            queue.add(exchange)
            if queue.half_full and not was_half_full:
                self._wake.set()
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_all, name="request log", daemon=True)
                self._writer.start()

    def close(self) -> None:
        """Write all queued rows, then return."""
        if self._writer is not None:
            self._closed = True
            self._wake.set()
            self._writer.join()

    def _folder(self, table: InferenceTable) -> Path:
        return self._warehouse / table.schema_name / table.payload

    def _write_all(self) -> None:
        closed = False
        while not closed:
            self._wake.wait(self._seconds)
            self._wake.clear()
            closed = self._closed
            for folder, queue in self._due(everything=closed):
                self._write(folder, queue)
            self._report_lost()
        if unwritten := self.waiting:
            self.lost += unwritten
            LOG.error("the request log could not write its last %s", number_of("row", unwritten))

    def _due(self, *, everything: bool) -> list[tuple[Path, _Queue]]:
        """Queues to write now. After a failed write a table waits, except for its last write."""
        now, in_use = time.monotonic(), set(map(self._folder, self._tables_in_use()))
        with self._lock:
            self._queues = {folder: queue for folder, queue in self._queues.items() if queue.exchanges}
            last = self._queues.keys() if everything else self._queues.keys() - in_use
            return [
                (folder, queue) for folder, queue in self._queues.items() if folder in last or queue.retry_at <= now
            ]

    def _write(self, folder: Path, queue: _Queue) -> None:
        """Write the rows of a table in one commit. Rows not written are retried while an endpoint uses the table."""
        with self._lock:
            taken = list(queue.exchanges)
        rows = {number: row for number, exchange in enumerate(taken) if (row := _row(exchange)) is not None}
        unwritten = [taken[number] for number in rows]
        lost = len(taken) - len(unwritten)
        try:
            if rows:
                self._append(folder, list(rows.values()))
            unwritten, queue.failures = [], 0
        except Exception as err:  # noqa: BLE001 - depends on the storage
            if not self._retry_later(folder, queue, len(unwritten), err):
                unwritten, lost = [], lost + len(unwritten)
        with self._lock:
            queue.replace(taken, unwritten)
            self.lost += lost

    def _retry_later(self, folder: Path, queue: _Queue, rows: int, err: Exception) -> bool:
        """Schedule a retry of a failed write. Return False if no endpoint uses the table any more."""
        if folder not in map(self._folder, self._tables_in_use()):
            LOG.warning(
                "the request log drops %s for %s, which no endpoint uses: %s", number_of("row", rows), folder, err
            )
            return False
        queue.failures += 1
        pause = min(self._seconds * 2 ** min(queue.failures, 16), MAX_RETRY_PAUSE)
        queue.retry_at = time.monotonic() + pause
        first = err if queue.failures == 1 else None  # one traceback is enough
        LOG.error(
            "the request log cannot write %s to %s; retry in %g s: %s",
            number_of("row", rows), folder, pause, str(err)[:500], exc_info=first,
        )  # fmt: skip
        return True

    def _report_lost(self) -> None:
        if self.lost > self._reported_lost:
            LOG.warning("the request log has lost %s since the server started", number_of("row", self.lost))
        self._reported_lost = self.lost


def _size(exchanges: list[Exchange]) -> int:
    return sum(exchange.size for exchange in exchanges)


def _row(exchange: Exchange) -> PayloadRow | None:
    """The row of an exchange; None if it cannot be created, so that the remaining rows are still written."""
    try:
        return exchange.row()
    except Exception as err:  # noqa: BLE001 - any error would occur again on a retry
        LOG.warning("the request log cannot create the row of request %s: %s", exchange.id, type(err).__name__)
        return None
