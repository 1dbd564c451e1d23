"""What the version was made from, so that it can be made again."""

from collections.abc import Sequence

from training.report.evidence import Evidence
from training.report.page import Block, Column, Folded, Table, long, number, words


def blocks(evidence: Evidence) -> Sequence[Block]:
    """Tables and versions, rows and times, code and seed."""
    data, ran = evidence.provenance, evidence.environment
    new = "the first version" if data.new_rows is None else f"{data.new_rows:,}"
    left_out = [
        (f"Left out: nothing found in {table}", f"{count:,} rows")
        for table, count in sorted(evidence.data.training.left_out.items())
    ]
    facts = [
        ("Trained on", f"{data.rows:,} rows, {data.first:%Y-%m-%d} to {data.last:%Y-%m-%d}"),
        ("Rows newer than the version before", new),
        ("Holdout", f"{data.holdout_rows:,} rows from {data.holdout_from:%Y-%m-%d} on"),
        ("SHA-256 of the holdout", data.holdout_fingerprint),
        *left_out,
        (
            "Inputs and columns",
            f"{len(evidence.data.training.features)} features, {evidence.data.training.x.shape[1]:,} columns",
        ),
        ("Seed", str(evidence.seed)),
        ("Commit", ran.commit),
        ("Python", f"{ran.python} on {ran.system}"),
    ]
    sources = [(words(table), number(version, "d")) for table, version in sorted(data.sources.items())]
    packages = [tuple(words(word) for word in package.split("==")) for package in sorted(ran.packages)]
    return (
        Table("Tables that were read", (Column("Table", "words"), Column("Delta version")), sources),
        Table(
            "Rows, code and seed",
            (Column("What", "words"), Column("Value", "prose")),
            [(words(a), long(b)) for a, b in facts],
        ),
        Folded(
            "Packages",
            (
                Table(
                    "What loading the version needs",
                    (Column("Package", "words"), Column("Version", "words")),
                    packages,
                ),
            ),
        ),
    )
