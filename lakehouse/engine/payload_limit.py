"""Size limit of files sent with a Spark task, for workers that do not see their folder."""

from pathlib import Path

from lakehouse.errors import LakehouseError

PAYLOAD_LIMIT = 64 * 2**20  # bytes with each task


class PayloadTooLarge(LakehouseError):
    """The workers do not see the folder, and its content is too large to send with a task."""

    @classmethod
    def of(cls, content: str, folder: str | Path, alternative: str | None = None) -> "PayloadTooLarge":
        """Name the content (with its size, where known), its folder, and another way out for the hint."""
        return cls(
            f"the workers do not see {folder}, and {content} is larger than the {PAYLOAD_LIMIT / 2**20:,.0f} MiB "
            "that travel with each task",
            hint="Set TMPDIR to a folder that every worker sees" + (f", or {alternative}." if alternative else "."),
        )
