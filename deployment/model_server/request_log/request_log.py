"""The request log: what was asked and answered, written to payload tables by a thread of its own.

A request pays for a place among the rows that wait and no more. Their number is bounded for each table: when it
cannot be written, or not as fast as requests come, it loses rows, and the log says how many. No answer is slowed by
that, and no other table held up.
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

LOG = logging.getLogger(__name__)
ROWS, BYTES = 20_000, 64 * 1024 * 1024  # that may wait for one table
SECONDS = 5.0  # between two commits of a table
LONGEST_PAUSE = 300.0  # until a table is tried again that could not be written
PayloadRow = dict[str, object]
Append = Callable[[Path, list[PayloadRow]], None]


@dataclass
class _Waiting:
    """What one table is to get, oldest first, and how often in a row it could not be written."""

    exchanges: list[Exchange] = field(default_factory=list)
    bytes: int = 0
    failures: int = 0
    again: float = 0.0

    def has_room(self, size: int) -> bool:
        return len(self.exchanges) < ROWS and self.bytes + size <= BYTES

    @property
    def half_full(self) -> bool:
        return len(self.exchanges) >= ROWS // 2 or self.bytes >= BYTES // 2

    def add(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self.bytes += exchange.size

    def replace(self, taken: list[Exchange], left: list[Exchange]) -> None:
        """Of the oldest, which were taken, only these are left."""
        self.exchanges[: len(taken)] = left
        self.bytes += _size(left) - _size(taken)


class RequestLog:
    """Takes exchanges, and sees that they reach their tables."""

    def __init__(
        self,
        warehouse: Path,
        draw: Callable[[], float],
        named: Callable[[], Set[InferenceTable]],
        seconds: float = SECONDS,
        append: Append = payload_table.append,
    ) -> None:
        """`draw` returns a number from [0, 1), which chooses a share of the requests; `named`, the tables in use."""
        self._warehouse = warehouse
        self._draw = draw
        self._named = named
        self._seconds = seconds
        self._append = append
        self._tables: dict[Path, _Waiting] = {}
        self._lock = threading.Lock()
        self._woken, self._ended = threading.Event(), False
        self.lost = self._lost_before = 0
        self._writer: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Rows that are to be written."""
        with self._lock:
            return sum(len(table.exchanges) for table in self._tables.values())

    def offer(self, table: InferenceTable, exchange: Exchange) -> None:
        """Log an exchange, if the sampling rate chooses it and there is room."""
        if exchange.rule.sampling < 1 and self._draw() >= exchange.rule.sampling:
            return
        with self._lock:
            waiting = self._tables.setdefault(self._folder(table), _Waiting())
            if not waiting.has_room(exchange.size):
                self.lost += 1
                return
            was_half_full = waiting.half_full
            waiting.add(exchange)
            if waiting.half_full and not was_half_full:
                self._woken.set()
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_all, name="request log", daemon=True)
                self._writer.start()

    def close(self) -> None:
        """Write all that was offered; returns when that is done."""
        if self._writer is not None:
            self._ended = True
            self._woken.set()
            self._writer.join()

    def _folder(self, table: InferenceTable) -> Path:
        return self._warehouse / table.schema_name / f"{table.table_name_prefix}_payload"

    def _write_all(self) -> None:
        ended = False
        while not ended:
            self._woken.wait(self._seconds)
            self._woken.clear()
            ended = self._ended
            for folder, table in self._due(everything=ended):
                self._write(folder, table)
            self._tell_lost()
        if left := self.waiting:
            self.lost += left
            LOG.error("the request log could not write its last %s row(s)", left)

    def _due(self, *, everything: bool) -> list[tuple[Path, _Waiting]]:
        """Tables that get rows now; one that failed a moment ago has to wait, unless it is its last time."""
        now, named = time.monotonic(), set(map(self._folder, self._named()))
        with self._lock:
            self._tables = {folder: table for folder, table in self._tables.items() if table.exchanges}
            last = self._tables.keys() if everything else self._tables.keys() - named
            return [(folder, table) for folder, table in self._tables.items() if folder in last or table.again <= now]

    def _write(self, folder: Path, table: _Waiting) -> None:
        """Write a table's rows in one commit; what could not be written is tried again while an endpoint names it."""
        with self._lock:
            taken = list(table.exchanges)
        rows = {number: row for number, exchange in enumerate(taken) if (row := _row(exchange)) is not None}
        left = [taken[number] for number in rows]
        unfit = len(taken) - len(left)
        try:
            if rows:
                self._append(folder, list(rows.values()))
            left, table.failures = [], 0
        except Exception as err:  # noqa: BLE001 - a writer raises what its storage does
            dropped = self._failed(folder, table, len(left), err)
            left, unfit = ([], unfit + len(left)) if dropped else (left, unfit)
        with self._lock:
            table.replace(taken, left)
            self.lost += unfit

    def _failed(self, folder: Path, table: _Waiting, rows: int, err: Exception) -> bool:
        """Say so, and when it is tried again; whether the rows are given up because nobody wants them any more."""
        if folder not in map(self._folder, self._named()):
            LOG.warning("the request log drops %s row(s) for %s, which no endpoint names: %s", rows, folder, err)
            return True
        table.failures += 1
        pause = min(self._seconds * 2 ** min(table.failures, 16), LONGEST_PAUSE)
        table.again = time.monotonic() + pause
        first = err if table.failures == 1 else None  # its traceback says no more the next time
        LOG.error(
            "the request log cannot write %s row(s) to %s, and tries again in %g s: %s",
            rows, folder, pause, str(err)[:500], exc_info=first,
        )  # fmt: skip
        return False

    def _tell_lost(self) -> None:
        if self.lost > self._lost_before:
            LOG.warning("the request log has lost %s row(s) since the server started", self.lost)
        self._lost_before = self.lost


def _size(exchanges: list[Exchange]) -> int:
    return sum(exchange.size for exchange in exchanges)


def _row(exchange: Exchange) -> PayloadRow | None:
    """The row of an exchange; None where there is no way to make one, which must not keep the others back."""
    try:
        return exchange.row()
    except Exception as err:  # noqa: BLE001 - whatever it is, it would be so again
        LOG.warning("the request log cannot make a row of request %s: %s", exchange.id, type(err).__name__)
        return None
