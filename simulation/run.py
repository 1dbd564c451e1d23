"""`python -m simulation.run --customers N --output FOLDER`: write simulated deliveries of Parquet files."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import PROJECT
from simulation import dirt
from simulation.behaviour import behave
from simulation.people import People
from simulation.places import Places

SHARD = 50_000  # customers simulated at a time, which bounds memory
KOMMUNEN = PROJECT / "dbt_project" / "landing" / "german_customers" / "kommunen.csv"
TABLES = ("customers", "orders", "contacts")
SAMPLE = "sample.json"


class OutputTaken(LakehouseError):
    """The folder contains this delivery, or data of another simulation."""

    @classmethod
    def by(cls, folder: Path, existing: str, requested: str) -> "OutputTaken":
        return cls(
            f"{folder} contains data of another simulation ({existing}); requested: {requested}",
            hint="Choose another --output, or delete the folder.",
        )

    @classmethod
    def at(cls, file: Path) -> "OutputTaken":
        return cls(f"{file} already exists", hint="Deliver another time range, or delete the folder.")


@dataclass(frozen=True)
class Sample:
    """Size and seed of a simulation; equal samples have equal rows."""

    customers: int
    seed: int

    def shards(self, places: Places) -> Iterator[dict[str, pa.Table]]:
        """The landing tables of SHARD customers at a time."""
        for shard, first in enumerate(range(0, self.customers, SHARD)):
            random = np.random.default_rng([self.seed, shard])
            people = People.draw(random, first + 1, min(SHARD, self.customers - first), places)
            behaviour = behave(random, people, places)
            first_event = 1 + shard * SHARD * 1_000
            yield {
                "customers": dirt.customers(random, people, places),
                "orders": dirt.orders(random, people, behaviour, first_event),
                "contacts": dirt.contacts(random, people, behaviour, first_event),
            }


def deliver(sample: Sample, folder: Path, begin: datetime, end: datetime) -> dict[str, int]:
    """Write the rows that became known in [begin, end), one file per shard and table; return the rows of each table.

    A file appears complete or not at all. Its rows are in order of arrival.

    Raises:
        OutputTaken: the folder holds this delivery, or deliveries of another sample.
    """
    _reserve(folder, sample)
    counts = dict.fromkeys(TABLES, 0)
    for shard, tables in enumerate(sample.shards(Places.read(KOMMUNEN))):
        for name, rows in tables.items():
            known = rows["known_at"]
            inside = pc.and_(pc.greater_equal(known, pa.scalar(begin)), pc.less(known, pa.scalar(end)))
            delivered = rows.filter(inside).sort_by([("known_at", "ascending"), (rows.column_names[0], "ascending")])
            counts[name] += delivered.num_rows
            _write(delivered, folder / name / f"{begin:%Y%m%d}-{end:%Y%m%d}-{shard:05d}.parquet")
    return counts


def _reserve(folder: Path, sample: Sample) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file, requested = folder / SAMPLE, json.dumps(asdict(sample))
    if file.exists() and file.read_text(encoding="utf-8") != requested:
        raise OutputTaken.by(folder, file.read_text(encoding="utf-8"), requested)
    file.write_text(requested, encoding="utf-8")
    if not (folder / KOMMUNEN.name).exists():
        shutil.copy(KOMMUNEN, folder)


def _write(rows: pa.Table, file: Path) -> None:
    if file.exists():
        raise OutputTaken.at(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.unfinished")
    pq.write_table(rows, unfinished, compression="zstd")
    unfinished.rename(file)


@click.command()
@click.option(
    "--customers",
    type=click.IntRange(1_000, 100_000_000),
    default=2_000,
    show_default=True,
    help="Number of customers to simulate.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Random seed; the same number of customers and seed give the same records.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the landing files; deliveries of one simulation share it.",
)
@click.option(
    "--from",
    "begin",
    type=click.DateTime(),
    metavar="TIME",
    default="2021-01-01",
    show_default=True,
    help="Start of the arrival period, in UTC.",
)
@click.option(
    "--until",
    "end",
    type=click.DateTime(),
    metavar="TIME",
    default="2025-02-01",
    show_default=True,
    help="End of the arrival period, in UTC; not included.",
)
def main(customers: int, seed: int, output: Path, begin: datetime, end: datetime) -> None:
    """Simulate a delivery: records that arrive from --from on and before --until."""
    console.stage(f"Simulating {customers:,} customers")
    counts = deliver(Sample(customers, seed), output, begin.replace(tzinfo=UTC), end.replace(tzinfo=UTC))
    for table, rows in counts.items():
        console.detail(f"{table:<10}{rows:>14,} rows")


if __name__ == "__main__":
    console.run_command(main)
