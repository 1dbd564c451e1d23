"""The append-only record of what went to production: one Delta table, one row for each decision."""

from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Literal

from pyspark.sql import SparkSession

from lakehouse.warehouse import TableName, Warehouse

TABLE = TableName("deployment", "ledger")
SCHEMA = (
    "at timestamp, actor string, action string, use_case string, from_version int, to_version int, "
    "verdict string, reason string"
)


@dataclass(frozen=True)
class Entry:
    """One decision.

    Attributes:
        at: when, UTC.
        actor: who ran the command.
        action: what became of the challenger; `repaired` where an earlier command was cut off before it wrote.
        from_version: the champion before, None where there was none.
        to_version: the champion after.
        verdict: SHA-256 of the decision; empty for a repair.
        reason: the decision in a sentence.
    """

    at: datetime
    actor: str
    action: Literal["promoted", "refused", "repaired"]
    use_case: str
    from_version: int | None
    to_version: int | None
    verdict: str
    reason: str


@dataclass(frozen=True)
class Ledger:
    """The ledger of one warehouse."""

    session: SparkSession
    warehouse: Warehouse

    def append(self, entry: Entry) -> None:
        """Add one row; a Delta commit is whole or not there."""
        row = tuple(asdict(entry).values())
        frame = self.session.createDataFrame([row], SCHEMA)
        frame.write.format("delta").mode("append").save(str(self.warehouse.location(TABLE)))

    def entries(self, use_case: str) -> list[Entry]:
        """The rows of one use case, oldest first."""
        if TABLE not in self.warehouse.tables():
            return []
        names = [field.name for field in fields(Entry)]
        rows = self.session.read.format("delta").load(str(self.warehouse.location(TABLE)))
        found = rows.where(rows.use_case == use_case).orderBy("at").select(*names).toArrow().to_pylist()
        return [Entry(**row | {"at": row["at"].astimezone(UTC)}) for row in found]
