"""Ledger as a Delta table in the warehouse folder. It needs no engine, so a rollback does not wait for one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import gethostname
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from pyarrow.dataset import ParquetFileFormat
from pyarrow.fs import LocalFileSystem

from deployment.ledger.entries import LedgerBroken
from deployment.ledger.storage import EntryNotWritten, LedgerStorage, PromotionBusy
from lakehouse.tables.warehouse import TableName, Warehouse
from lakehouse.tables.writer_lock import WarehouseBusy, WriterLock

TABLE = TableName("deployment", "ledger")
LOCKS = ".locks"  # folder next to the table
SCHEMA = pa.schema(
    [
        ("number", pa.int64()),
        ("at", pa.timestamp("us", "UTC")),
        ("actor", pa.string()),
        ("action", pa.string()),
        ("use_case", pa.string()),
        ("version", pa.int64()),
        ("from_version", pa.int64()),
        ("to_version", pa.int64()),
        ("verdict", pa.string()),
        ("reason", pa.string()),
        ("commit", pa.string()),
        ("previous", pa.string()),
        ("digest", pa.string()),
        ("criteria", pa.string()),
        ("dirty", pa.bool_()),
        ("resumes", pa.int64()),
        ("rollout", pa.string()),
    ]
)
Rows = list[dict[str, Any]]
_ONLY_ADDED = {"delta.appendOnly": "true"}  # makes every Delta writer refuse updates and deletes


@dataclass(frozen=True)
class ParquetFile:
    """File of a table, and what changes with its content: a file that somebody overwrote is another one."""

    path: Path
    size: int
    changed_ns: int

    @classmethod
    def at(cls, path: Path) -> "ParquetFile":
        status = path.stat()
        return cls(path, status.st_size, status.st_mtime_ns)

    def rows(self, schema: pa.Schema) -> Rows:
        rows: Rows = ParquetFileFormat().make_fragment(str(self.path), LocalFileSystem()).to_table(schema).to_pylist()
        return rows


@dataclass(frozen=True)
class FolderLedger:
    """Ledger of one warehouse folder.

    Each entry is a file of its own. A file is read once: a controller reads its ledger several times a second.
    """

    warehouse: Warehouse
    _read: dict[ParquetFile, Rows] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def location(self) -> str:
        return f"the folder {self.warehouse.location(TABLE)} on {gethostname()}"

    def require_writable(self) -> None:
        self.warehouse.require_writable()

    @contextmanager
    def lock(self, use_case: str) -> Iterator[None]:
        # One lock folder per use case: neither a long dbt build nor another model's promotion blocks a rollback.
        folder = self.warehouse.folder(TABLE.schema) / LOCKS / use_case
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = WriterLock.on(folder)
        except WarehouseBusy as err:
            raise PromotionBusy.by(err.failed.rpartition(" by ")[2]) from err
        except OSError as err:
            raise EntryNotWritten.of(use_case, err) from err
        try:
            yield
        finally:
            lock.release()

    def rows(self, use_case: str) -> list[dict[str, Any]]:
        if TABLE not in self.warehouse.tables(TABLE.schema):
            return []
        try:
            rows = self._all_rows(DeltaTable(self.warehouse.location(TABLE)))
        except (DeltaError, pa.ArrowInvalid, OSError) as err:
            raise LedgerBroken.unreadable(use_case, err) from err
        # A table of an earlier release lacks columns until its next entry.
        entries = [{name: row.get(name) for name in SCHEMA.names} for row in rows if row["use_case"] == use_case]
        return sorted(entries, key=lambda row: (row["number"] is None, row["number"] or 0))

    def _all_rows(self, table: DeltaTable) -> Rows:
        """Rows of every use case; of files that were read before they are remembered."""
        if table.protocol().min_reader_version > 1:  # not written here: its files may not hold the rows as they are
            whole: Rows = table.to_pyarrow_table().to_pylist()
            return whole
        folder, paths = self.warehouse.location(TABLE), table.get_add_actions().column("path").to_pylist()
        files, schema = [ParquetFile.at(folder / name) for name in paths], pa.schema(table.schema().to_arrow())
        read = {file: self._read.get(file) or file.rows(schema) for file in files}
        self._read.clear()
        self._read.update(read)
        return [row for file in files for row in read[file]]

    def add(self, row: Mapping[str, Any]) -> None:
        table = pa.Table.from_pylist([dict(row)], SCHEMA)
        try:
            try:
                self._append(table)
            except CommitFailedError:  # another use case has just created the table; both can append now
                self._append(table)
        except (DeltaError, OSError) as err:
            raise EntryNotWritten.of(str(row["use_case"]), err) from err

    def _append(self, table: pa.Table) -> None:
        write_deltalake(
            self.warehouse.location(TABLE), table, mode="append", schema_mode="merge", configuration=_ONLY_ADDED
        )


def _conforms(storage: FolderLedger) -> LedgerStorage:
    return storage
