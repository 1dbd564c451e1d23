"""Point-in-time join against bare DuckDB, Polars, pandas and JVM Spark, on the same files and with equal results.

Every engine reads the Parquet files of two Delta tables and joins the newest row at or before the time of each spine
row. It sorts by time and client, like a training frame, and writes Parquet. uv installs Polars and pandas into
environments of their own. Only our joins also check that no client has two rows with the same time.
"""

import json
import os
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

from benchmarks.harness.jvm_spark import available, jvm_spark_connect
from benchmarks.harness.measure import Usage, measure, mebibytes, tool
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.options.choices import OneOf
from lakehouse.settings import PROJECT

TWO_YEARS = 2 * 365 * 86_400_000_000  # microseconds
OURS = """
import sys
from functools import partial
from pathlib import Path
from lakehouse.session import open_session
from lakehouse.tables.warehouse import Warehouse
from training.feature_store.local import LocalFeatureStore
from training.feature_store.tables import FeatureLookup, Spine

_, in_engine, *remote = sys.argv
store = LocalFeatureStore(partial(open_session, *remote), Warehouse(Path("FOLDER")), in_engine == "window")
spine = Spine("gold.spine", ("client",), "at", "label")
rows, _ = store.training_frame(spine, [FeatureLookup("gold.features", ("orders", "revenue"))])
if in_engine == "window":
    rows.to_spark().write.mode("overwrite").parquet("FOLDER/joined")
else:
    rows.write(Path("FOLDER/joined/part.parquet"))
"""
DUCKDB = """
import duckdb
duckdb.sql('''
  copy (
    select s.client, s."at", s.label, f.orders, f.revenue
    from 'FOLDER/gold/spine/*.parquet' s asof left join 'FOLDER/gold/features/*.parquet' f
      on s.client = f.client and s."at" >= f.known_at
    order by s."at", s.client, s.label
  ) to 'FOLDER/joined/part.parquet'
''')
"""
PEERS = {
    "Polars": (
        ("polars==2.1.0",),
        """
import polars as pl
spine = pl.scan_parquet("FOLDER/gold/spine/*.parquet").sort("at")
features = pl.scan_parquet("FOLDER/gold/features/*.parquet").sort("known_at")
joined = spine.join_asof(features, left_on="at", right_on="known_at", by="client", check_sortedness=False)
frame = joined.select("client", "at", "label", "orders", "revenue").sort("at", "client", "label")
frame.collect().write_parquet("FOLDER/joined/part.parquet")
""",
    ),
    "pandas": (
        ("pandas==2.3.3", "pyarrow==21.0.0"),
        """
import pandas as pd
spine = pd.read_parquet("FOLDER/gold/spine").sort_values("at")
features = pd.read_parquet("FOLDER/gold/features").sort_values("known_at")
joined = pd.merge_asof(spine, features, left_on="at", right_on="known_at", by="client")
frame = joined[["client", "at", "label", "orders", "revenue"]].sort_values(["at", "client", "label"])
frame.to_parquet("FOLDER/joined/part.parquet", index=False)
""",
    ),
}


OURS_BY_DUCKDB, BARE, SAIL, JVM = "ours", "bare DuckDB", "our window on Sail", "our window on JVM Spark (client)"
ENGINES = (OURS_BY_DUCKDB, BARE, *PEERS, SAIL, JVM)
FEATURES = ("orders", "revenue")


class ResultsDiffer(LakehouseError):
    """Two engines returned different rows for the same files, so their times are not comparable."""


@click.command()
@click.option("--spine", type=click.IntRange(1_000), default=5_000_000, show_default=True, help="Rows of the spine.")
@click.option(
    "--features", type=click.IntRange(1_000), default=20_000_000, show_default=True, help="Rows of the feature table."
)
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True)
@click.option("--engine", "engines", multiple=True, type=OneOf(ENGINES), help=f"Beside {BARE}; default: all.")
def main(spine: int, features: int, runs: int, engines: tuple[str, ...]) -> None:
    """Run the engines in turn, RUNS times, each in its own process; report the least of each figure."""
    chosen = {BARE, *(engines or ENGINES)}
    console.stage(f"{spine:,} rows x {features:,} rows, {runs} runs each in turn")
    with_jvm = JVM in chosen and available()
    with tempfile.TemporaryDirectory() as folder, jvm_spark_connect() if with_jvm else nullcontext() as remote:
        _write(Path(folder), spine, features)
        measured: dict[str, list[Usage]] = {}
        results: dict[str, tuple[int, int, float]] = {}
        for _ in range(runs):
            for name, command in _commands(folder, remote).items():
                if name not in chosen:
                    continue
                _empty(Path(folder) / "joined")
                measured.setdefault(name, []).append(measure(command, PROJECT, os.environ))
                results[name] = _result(Path(folder) / "joined")
    if len(set(results.values())) > 1:
        raise ResultsDiffer(f"the engines returned different rows: {results}")
    bare = min(usage.computing for usage in measured[BARE])
    rows = []
    for name, usages in measured.items():
        seconds, computing, peak = (
            min(getattr(each, of) for each in usages) for of in ("seconds", "computing", "peak")
        )
        rows.append([name, f"{seconds:.1f} s", f"{computing:.1f} s", f"{computing / bare:.2f} x", mebibytes(peak)])
    console.table(["engine", "time", "processor time", "of bare DuckDB", "peak memory"], rows)


def _commands(folder: str, remote: str | None) -> dict[str, list[str]]:
    ours, bare = ([sys.executable, "-c", code.replace("FOLDER", folder)] for code in (OURS, DUCKDB))
    commands = {OURS_BY_DUCKDB: [*ours, "duckdb"], BARE: bare}
    for name, (packages, code) in PEERS.items():
        installed = [argument for package in packages for argument in ("--with", package)]
        command = [tool("uv"), "run", "--quiet", "--no-project", *installed]
        commands[name] = [*command, "python", "-c", code.replace("FOLDER", folder)]
    commands[SAIL] = [*ours, "window"]
    if remote:
        # Only the client is measured; the memory is in the server.
        commands[JVM] = [*ours, "window", remote]
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
        write_deltalake(folder / "gold" / name, pa.table(columns))
    published = {
        "feature_table.primary_keys": '["client"]',
        "feature_table.timestamp_column": "known_at",
        "feature_table.description": "",
        "feature_table.features": json.dumps({name: {"data_type": "double", "description": ""} for name in FEATURES}),
    }
    table = DeltaTable(folder / "gold" / "features")
    table.alter.set_table_properties(published, raise_if_not_exists=False)


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
