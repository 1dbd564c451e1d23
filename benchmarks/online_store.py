"""Embedded stores for online tables: LMDB, RocksDB and SQLite, written once and read by key."""

import json
import os
import tempfile
from pathlib import Path

import click

from benchmarks.harness.measure import measure, mebibytes, tool
from lakehouse import console
from lakehouse.settings import PROJECT

# Each store defines `write(rows)`, in one transaction, and `read(key)`, which returns bytes.
STORES = {
    "LMDB": (
        "lmdb==1.7.5",
        """
import lmdb
environment = lmdb.open(folder, map_size=2**38)
def write(rows):
    with environment.begin(write=True) as transaction:
        for key, value in rows:
            transaction.put(key, value)
def read(key):
    with environment.begin() as transaction:
        return transaction.get(key)
""",
    ),
    "RocksDB": (
        "rocksdict==0.3.28",
        """
from rocksdict import Options, Rdict, WriteBatch
store = Rdict(folder, Options(raw_mode=True))
def write(rows):
    batch = WriteBatch(raw_mode=True)
    for key, value in rows:
        batch.put(key, value)
    store.write(batch)
    store.flush()
read = store.get
""",
    ),
    "SQLite, WAL": (
        "pip",
        """
import sqlite3
connection = sqlite3.connect(folder + "/online.db", isolation_level=None)
connection.execute("pragma journal_mode = wal")
connection.execute("create table online (key blob primary key, value blob) without rowid")
def write(rows):
    connection.execute("begin")
    connection.executemany("insert into online values (?, ?)", rows)
    connection.execute("commit")
def read(key):
    return connection.execute("select value from online where key = ?", (key,)).fetchone()[0]
""",
    ),
}
MEASURED = """
import json, os, random, sys, time
folder, rows = sys.argv[1], int(sys.argv[2])
STORE
values = [random.Random(number).randbytes(200) for number in range(1_000)]  # 25 numbers each, incompressible
keys = [b'gold.features\\0[%d]' % number for number in range(rows)]
begin = time.perf_counter()
write((key, values[index % 1_000]) for index, key in enumerate(keys))
written = time.perf_counter() - begin
indices, times = random.Random(1).choices(range(rows), k=200_000), []
for index in indices:
    key = keys[index]
    begin = time.perf_counter_ns()
    value = read(key)
    times.append(time.perf_counter_ns() - begin)
    assert value == values[index % 1_000]
times.sort()
size = sum(os.stat(os.path.join(top, name)).st_blocks * 512 for top, _, names in os.walk(folder) for name in names)
print(json.dumps([written, times[len(times) // 2] / 1e3, times[len(times) * 99 // 100] / 1e3, size]))
"""


@click.command()
@click.option("--rows", type=click.IntRange(1_000), default=1_000_000, show_default=True)
def main(rows: int) -> None:
    """Write rows of 25 numbers to each store in its own process, then read 200,000 of them by key."""
    console.stage(f"{rows:,} rows, 200,000 reads")
    table = []
    for name, (package, store) in STORES.items():
        with tempfile.TemporaryDirectory() as folder:
            command = [tool("uv"), "run", "--quiet", "--no-project", "--with", package, "python", "-c"]
            code = MEASURED.replace("STORE", store)
            usage = measure([*command, code, str(Path(folder)), str(rows)], PROJECT, os.environ)
        written, median, slow, size = json.loads(usage.output)
        cells = [f"{written:.1f} s", f"{median:.1f} us", f"{slow:.1f} us", mebibytes(size), mebibytes(usage.peak)]
        table.append([name, *cells])
    console.table(["store", "write", "read p50", "read p99", "on disk", "peak memory"], table)


if __name__ == "__main__":
    console.run_command(main)
