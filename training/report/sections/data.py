"""Data, code and packages of the version, to reproduce it."""

from collections.abc import Sequence

from lakehouse.wording import format_dates
from training.report.evidence import Evidence
from training.report.page import Block, Collapsed, Column, Table, number_cell, prose_cell, text_cell


def blocks(evidence: Evidence) -> Sequence[Block]:
    """Table versions, rows and times, code and seed, packages."""
    data, environment = evidence.provenance, evidence.environment
    new_rows = "first version" if data.new_rows is None else f"{data.new_rows:,}"
    left_out = [
        (f"Rows without features in {table}", f"{count:,}, left out")
        for table, count in sorted(evidence.data.training.left_out.items())
    ]
    since = f" from {data.holdout_from:%Y-%m-%d} on" if evidence.data.holdout.in_time else ""
    facts = [
        ("Trained on", f"{data.rows:,} rows, {format_dates(data.first, data.last)}"),
        ("Rows newer than the previous version", new_rows),
        ("Holdout", f"{data.holdout_rows:,} rows{since}"),
        ("SHA-256 of the holdout", data.holdout_fingerprint),
        *left_out,
        (
            "Inputs and columns",
            f"{len(evidence.data.training.encoder.features)} features, {evidence.data.training.x.shape[1]:,} columns",
        ),
        ("Seed", str(evidence.seed)),
        ("Commit", environment.commit),
        ("Python", f"{environment.python} on {environment.system}"),
    ]
    sources = [(text_cell(table), number_cell(version, "d")) for table, version in sorted(data.sources.items())]
    packages = [tuple(text_cell(field) for field in package.split("==")) for package in sorted(environment.packages)]
    return (
        Table("Input tables", (Column("Table", "text"), Column("Delta version")), sources),
        Table(
            "Rows, code and seed",
            (Column("Fact", "text"), Column("Value", "prose")),
            [(text_cell(fact), prose_cell(value)) for fact, value in facts],
        ),
        Collapsed(
            "Packages",
            (
                Table(
                    "Packages that loading the version needs",
                    (Column("Package", "text"), Column("Version", "text")),
                    packages,
                ),
            ),
        ),
    )
