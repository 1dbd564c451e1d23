"""Refusals of a landing source with types of its own."""

from collections.abc import Iterable, Sequence

from lakehouse.errors import LakehouseError, first_line

_DECLARATION = "`landing_source` in the model's .yml"


class LandingSourceRefused(LakehouseError):
    """A landing source is invalid, cannot be read, or differs from its declaration.

    Attributes:
        advice: how to correct the source itself, without its declaration.
        column: column with a value that is not of its type; None for any other refusal.
        kind: the type that the column does not have, in words.
    """

    def __init__(
        self, failed: str, *, hint: str, advice: str | None = None, column: str | None = None, kind: str = ""
    ) -> None:
        super().__init__(failed, hint=hint)
        self.advice, self.column, self.kind = advice or hint, column, kind

    @classmethod
    def invalid(cls, model: str, problems: Sequence[str]) -> "LandingSourceRefused":
        failed = f"the `landing_source` of the model {model} is invalid:\n  " + "\n  ".join(problems)
        return cls(failed, hint=f"Correct {_DECLARATION}.")

    @classmethod
    def unreadable(cls, source: str, reason: Exception) -> "LandingSourceRefused":
        failed = f"{source} cannot be read: {first_line(reason)}"
        advice = "Correct the source, its address or the permissions."
        return cls(failed, hint=f"Correct the source, or {_DECLARATION}.", advice=advice)

    @classmethod
    def no_driver(cls, scheme: str, reason: Exception) -> "LandingSourceRefused":
        extra = "uv pip install 'lakehouse-ml[postgres]'" if scheme.startswith("postgres") else "its Python driver"
        return cls(
            f"there is no driver for databases of the kind {scheme}: {first_line(reason)}", hint=f"Install {extra}."
        )

    @classmethod
    def no_variable(cls, source: str, variable: str) -> "LandingSourceRefused":
        return cls(
            f"{source} cannot be read: the environment variable {variable} is not set",
            hint=f"Set {variable} to the address of the database, such as postgresql://user:password@host/shop.",
        )

    @classmethod
    def no_table(cls, source: str, suggestion: str) -> "LandingSourceRefused":
        return cls(f"{source} does not exist. {suggestion}", hint="Name a table that exists.")

    @classmethod
    def columns(cls, source: str, missing: Iterable[str], extra: Iterable[str]) -> "LandingSourceRefused":
        return cls(
            f"the columns of {source} differ from the declared ones: missing {sorted(missing) or 'none'}, "
            f"not declared {sorted(extra) or 'none'}",
            hint=f"Correct the source, or {_DECLARATION}: declare new ones in `columns` or `ignored`.",
        )

    @classmethod
    def twice(cls, source: str, names: Sequence[str]) -> "LandingSourceRefused":
        return cls(f"{source} names a column twice: {', '.join(names)}", hint="Rename one of them in the source.")

    @classmethod
    def value(cls, source: str, column: str, kind: str, reason: Exception) -> "LandingSourceRefused":
        return cls(
            f"the column {column} of {source} is not {kind}: {first_line(reason)}",
            hint=f"Correct the source, or the type in {_DECLARATION}: `{column}: string` takes any value.",
            advice="Correct the source.",
            column=column,
            kind=kind,
        )

    @classmethod
    def no_rows(cls, source: str) -> "LandingSourceRefused":
        return cls(f"{source} has no rows", hint="Deliver it again.")
