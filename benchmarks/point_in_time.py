"""Point-in-time join against pandas, DuckDB, Polars and JVM Spark, on the same files and with equal results.

Every engine reads the two files and joins the newest row at or before the time of each spine row. It sorts by time
and client, like a training frame, and writes Parquet. uv installs each peer into its own environment. Only our join
also checks that no client has two rows with the same time.
"""

import os
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness.jvm_spark import available, jvm_spark_connect
from benchmarks.harness.measure import Usage, measure, tool
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import PROJECT

TWO_YEARS = 2 * 365 * 86_400_000_000  # microseconds
OURS = """
import sys
from lakehouse.session import open_session
from training.feature_store.tables import Feature, FeatureLookup, FeatureTable, Spine
from training.feature_store.point_in_time import Side, point_in_time_join

session = open_session(sys.argv[1] if len(sys.argv) > 1 else None)
names = ("orders", "revenue")
features = tuple(Feature(name, "double", "") for name in names)
table = FeatureTable("gold.features", 0, "", ("client",), "known_at", features, ())
rows = session.read.parquet("FOLDER/features.parquet")
spine = session.read.parquet("FOLDER/spine.parquet")
side = Side(table, FeatureLookup(table.name, names), rows)
frame = point_in_time_join(spine, Spine("gold.labels", ("client",), "at", "label"), [side])
frame.write.mode("overwrite").parquet("FOLDER/joined")
"""
PEERS = {
    "DuckDB": (
        ("duckdb==1.4.1",),
        """
import duckdb
duckdb.sql('''
  copy (
    select s.client, s.at, s.label, f.orders, f.revenue
    from 'FOLDER/spine.parquet' s asof left join 'FOLDER/features.parquet' f
      on s.client = f.client and s.at >= f.known_at
    order by s.at, s.client, s.label
  ) to 'FOLDER/joined/part.parquet'
''')
""",
    ),
    "Polars": (
        ("polars==1.34.0",),
        """
import polars as pl
spine = pl.scan_parquet("FOLDER/spine.parquet").sort("at")
features = pl.scan_parquet("FOLDER/features.parquet").sort("known_at")
joined = spine.join_asof(features, left_on="at", right_on="known_at", by="client", check_sortedness=False)
frame = joined.select("client", "at", "label", "orders", "revenue").sort("at", "client", "label")
frame.collect().write_parquet("FOLDER/joined/part.parquet")
""",
    ),
    "pandas": (
        ("pandas==2.3.3", "pyarrow==21.0.0"),
        """
import pandas as pd
spine = pd.read_parquet("FOLDER/spine.parquet").sort_values("at")
features = pd.read_parquet("FOLDER/features.parquet").sort_values("known_at")
joined = pd.merge_asof(spine, features, left_on="at", right_on="known_at", by="client")
frame = joined[["client", "at", "label", "orders", "revenue"]].sort_values(["at", "client", "label"])
frame.to_parquet("FOLDER/joined/part.parquet", index=False)
""",
    ),
}


class ResultsDiffer(LakehouseError):
    """Two engines returned different rows for the same files, so their times are not comparable."""


@click.command()
@click.option("--spine", type=click.IntRange(1_000), default=5_000_000, show_default=True, help="Rows of the spine.")
@click.option(
    "--features", type=click.IntRange(1_000), default=20_000_000, show_default=True, help="Rows of the feature table."
)
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True)
def main(spine: int, features: int, runs: int) -> None:
    """Run every engine in turn, RUNS times, each in its own process; report the fastest run of each."""
    console.stage(f"{spine:,} rows x {features:,} rows, {runs} runs each in turn")
    with tempfile.TemporaryDirectory() as folder, jvm_spark_connect() if available() else nullcontext() as remote:
        _write(Path(folder), spine, features)
        measured: dict[str, list[Usage]] = {}
        results: dict[str, tuple[int, int, float]] = {}
        for _ in range(runs):
            for name, command in _commands(folder, remote).items():
                _empty(Path(folder) / "joined")
                measured.setdefault(name, []).append(measure(command, PROJECT, os.environ))
                results[name] = _result(Path(folder) / "joined")
    if len(set(results.values())) > 1:
        raise ResultsDiffer(f"the engines returned different rows: {results}")
    best = {name: min(usages, key=lambda usage: usage.seconds) for name, usages in measured.items()}
    ours = best["Sail, in process"].seconds
    rows = [[name, *usage.cells, f"{usage.seconds / ours:.2f} x"] for name, usage in best.items()]
    console.table(["engine", "time", "processor time", "peak memory", "relative to Sail"], rows)
    console.detail(f"fastest: {min(best, key=lambda name: best[name].seconds)}")


def _commands(folder: str, remote: str | None) -> dict[str, list[str]]:
    ours = OURS.replace("FOLDER", folder)
    commands = {"Sail, in process": [sys.executable, "-c", ours]}
    for name, (packages, code) in PEERS.items():
        installed = [argument for package in packages for argument in ("--with", package)]
        command = [tool("uv"), "run", "--quiet", "--no-project", *installed]
        commands[name] = [*command, "python", "-c", code.replace("FOLDER", folder)]
    if remote:
        # Only the client is measured; the memory is in the server.
        commands["JVM Spark (memory of the client)"] = [sys.executable, "-c", ours, remote]
    return commands


def _write(folder: Path, spine: int, features: int) -> None:
    """Write ten feature rows per client over two years, in the order in which they became known."""
    random = np.random.default_rng(1)
    clients = max(features // 10, 1)
    for name, rows in (("features", features), ("spine", spine)):
        order = "known_at" if name == "features" else "at"
        # Times are unique, so no client has two rows with the same time.
        steps = np.cumsum(random.integers(1, 2 * TWO_YEARS // rows, rows))
        times = np.datetime64("2023-01-01", "us") + steps.astype("timedelta64[us]")
        columns: dict[str, pa.Array] = {
            "client": pa.array(random.integers(1, clients + 1, rows)),
            order: pa.array(times, pa.timestamp("us", "UTC")),
        }
        if name == "features":
            columns |= {"orders": pa.array(random.integers(0, 9, rows)), "revenue": pa.array(random.random(rows))}
        else:
            columns["label"] = pa.array(random.integers(0, 2, rows), pa.int32())
        pq.write_table(pa.table(columns), folder / f"{name}.parquet", row_group_size=1_000_000)


def _empty(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()


def _result(folder: Path) -> tuple[int, int, float]:
    """Number of rows, number of rows without a match, and the sum of the joined values rounded to cents."""
    joined = pq.read_table(folder, columns=["revenue"])["revenue"].to_numpy()
    return len(joined), int(np.isnan(joined).sum()), round(float(np.nansum(joined)), 2)


if __name__ == "__main__":
    console.run_command(main)
