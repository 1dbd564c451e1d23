"""The refusal of tables that exist, but on whose rows no model can be trained."""

from collections.abc import Mapping, Sequence

from lakehouse.errors import LakehouseError
from lakehouse.wording import format_number, number_of


class FrameRefused(LakehouseError):
    """The tables exist, but no model can be trained on their rows."""

    @classmethod
    def no_rows(cls, table: str) -> "FrameRefused":
        return cls(f"the spine {table} has no rows", hint="Look at its source, then run: dbt build")

    @classmethod
    def nothing_found(cls, tables: Sequence[str]) -> "FrameRefused":
        return cls(
            f"no row of the spine finds features in {' and '.join(tables)}",
            hint="Compare the keys and times of the spine with those of the tables: python -m training.features",
        )

    @classmethod
    def no_features(cls, use_case: str) -> "FrameRefused":
        return cls(f"{use_case} excludes every feature", hint="Exclude fewer in the use case.")

    @classmethod
    def named_twice(cls, feature: str, tables: list[str]) -> "FrameRefused":
        return cls(
            f"the feature '{feature}' comes from {' and '.join(tables)}",
            hint="Exclude it from all but one of them in the use case, or rename it in a gold model.",
        )

    @classmethod
    def no_number(cls, feature: str, kind: str) -> "FrameRefused":
        return cls(
            f"the feature '{feature}' is of type {kind}, not a number",
            hint="Encode it in its gold model, or exclude it.",
        )

    @classmethod
    def no_text(cls, feature: str, kind: str) -> "FrameRefused":
        return cls(
            f"the feature '{feature}' is of type {kind}, and its encoding is for texts",
            hint="Encode it as a number or a category in its gold model, or exclude it.",
        )

    @classmethod
    def no_numbers(cls, families: Sequence[str], texts: Sequence[str]) -> "FrameRefused":
        return cls(
            f"{', '.join(families)} read numbers alone, and every feature is a text: {', '.join(texts)}",
            hint="Search families that read texts, such as logistic_regression or ridge.",
        )

    @classmethod
    def no_texts(cls, families: Sequence[str]) -> "FrameRefused":
        return cls(
            f"{', '.join(families)} read texts, and no feature is a text",
            hint="Encode a column `as: text` in its gold model, or search other families.",
        )

    @classmethod
    def text_on_spark(cls, features: Sequence[str]) -> "FrameRefused":
        return cls(
            f"families on Spark read no texts, and these features are texts: {', '.join(features)}",
            hint="Search families that fit in this process, such as logistic_regression; or exclude the texts.",
        )

    @classmethod
    def arrays_on_spark(cls, columns: Sequence[str]) -> "FrameRefused":
        return cls(
            f"families on Spark read no arrays, and these columns are arrays: {', '.join(columns)}",
            hint="Search families that fit in this process, such as logistic_regression; or exclude the arrays.",
        )

    @classmethod
    def missing_numbers(cls, families: Sequence[str], features: Sequence[str]) -> "FrameRefused":
        take, names = "takes" if len(families) == 1 else "take", ", ".join(features)
        return cls(
            f"{' and '.join(families)} {take} no missing values, and `missing: keep` leaves them in {names}",
            hint="Name other families in `search` or with --families, or impute the numbers in the gold model.",
        )

    @classmethod
    def missing(cls, counts: Mapping[str, int], rows: int) -> "FrameRefused":
        return cls(
            f"values are missing in rows of the spine ({rows:,} in all): {_format_counts(counts)}",
            hint="Leave out rows without a key or a time in the label model, then run: dbt build",
        )

    @classmethod
    def missing_features(
        cls, counts: Mapping[str, int], rows: int, unmatched: Mapping[str, int], single: Sequence[str]
    ) -> "FrameRefused":
        """Refuse features without a finite value.

        Args:
            counts: number of rows, by feature.
            unmatched: number of rows without any feature of a table, by table.
            single: features that are also missing in other rows.
        """
        hints = [
            f"{count:,} of {rows:,} rows have no features in {table} as of their time. To drop them, set "
            f"`missing: leave_out` for {table} in the use case."
            for table, count in unmatched.items()
        ]
        if single:
            hints.append(
                f"Give {' and '.join(single)} a value in the gold model, as {{'as': 'number', 'impute': 0}}, or keep "
                "NULL as {'as': 'number', 'missing': 'keep'}, and run dbt build; or leave the feature out with "
                "`exclude` in the use case. Infinite numbers are refused in any case."
            )
        return cls(
            f"values are missing or infinite in rows of the spine ({rows:,} in all): {_format_counts(counts)}",
            hint="\n  ".join(hints),
        )

    @classmethod
    def no_part(cls, what: str, rows: int, share: float) -> "FrameRefused":
        return cls(
            f"{what} has no rows: {rows} rows are cut at a share of {format_number(share)}",
            hint="Correct `split` in the use case, or collect more rows.",
        )

    @classmethod
    def empty_fold(cls, where: str, folds: int, times: int) -> "FrameRefused":
        return cls(
            f"{where} has no rows: `folds: {folds}` cuts rows of {number_of('distinct time', times)}",
            hint="Set fewer `folds` in the `split` of the use case, or collect labels of more times.",
        )

    @classmethod
    def all_in_gap(cls, where: str, rows: int, days: float) -> "FrameRefused":
        return cls(
            f"{where} has no rows: `gap: {format_number(days)}` drops all {rows:,} before the next rows",
            hint="Set a shorter `gap` or fewer `folds` in the `split` of the use case, or collect more labels.",
        )

    @classmethod
    def all_constant(cls, rows: int, constants: str) -> "FrameRefused":
        return cls(
            f"every feature has one value on all {rows:,} training rows: {constants}",
            hint="Compare the times of the labels with those of the features: python -m training.features",
        )

    @classmethod
    def fold_column(cls, column: str, problem: str, hint: str) -> "FrameRefused":
        return cls(f"the fold column {column} {problem}", hint=hint)

    @classmethod
    def forecast_column(cls, role: str, feature: str, problem: str) -> "FrameRefused":
        return cls(
            f"`forecast.{role}` names the feature {feature}, which {problem}",
            hint="Correct `forecast` in the use case, or the feature in its gold model.",
        )

    @classmethod
    def labels(cls, needed: str, found: object, where: str) -> "FrameRefused":
        return cls(
            f"{needed}; {where} has only {found}",
            hint="Correct `labels` or `split` in the use case, or the label model.",
        )


def _format_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} in {count:,}" for name, count in counts.items())
