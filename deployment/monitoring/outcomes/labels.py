"""Labels that arrive after the predictions: joined point-in-time on Spark, and counted by window.

A label belongs to a request by its `client_request_id`, or by the key fields of a record: the first label row of the
entity at or after the request, or the label of a key that has the time of a forecast. A label that arrives after the
end of the run does not count, so that a run can be repeated. Only counts leave Spark.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from deployment.monitoring.counting import CountPlan, batch_of
from deployment.monitoring.outcomes.forecasts import (
    BOUNDS,
    WindowLosses,
    loss_aggregates,
    losses_by_window,
    with_losses,
)
from deployment.monitoring.outcomes.label_table import key_of, known_labels, of_the_period, require_columns, uncounted
from deployment.monitoring.unpacking import SUCCESS, Exchanged, response_fields, unpack
from lakehouse.arrays import Floats
from training.population.bins import ColumnBins
from training.population.population import MOMENTS, Population
from training.use_case.monitoring import LabelSource, parse_length

_LOGGED = pa.schema(
    [
        ("at", pa.int64()), ("request", pa.binary()), ("response", pa.binary()), ("served", pa.string()),
        ("client_request_id", pa.string()),
    ]
)  # fmt: skip
_PREDICTED = (
    "window long, bin long, value double, lower double, upper double, scale double, key string, at long, id string"
)
_ARROW = pa.schema(
    [
        ("window", pa.int64()), ("bin", pa.int64()), ("value", pa.float64()),
        *((name, pa.float64()) for name in BOUNDS), ("key", pa.string()), ("at", pa.int64()), ("id", pa.string()),
    ]
)  # fmt: skip
_NUMBERS = ("bin", "value", *BOUNDS)


@dataclass(frozen=True)
class LabelCounts:
    """Labelled predictions of a run.

    Attributes:
        outcomes: by window, in the form of `Population.outcomes`.
        without_request: label rows of the period whose request is not in the payload table.
        without_prediction: those of a logged request whose prediction cannot be used: it failed, does not parse, has
            several records, is of another version, or is in no window.
        before_request: labels that were known before their request: a clock disagrees, or the label leaked.
        unknown_labels: labels that are no class of the version, or no number.
        incomplete: rows of the table without a key, a label or a needed time.
        not_yet_known: rows that were not known by the end of the run.
        replaced: earlier labels of a request that has a later one.
        losses: of forecasts, the sums of their losses by window.
    """

    outcomes: Mapping[int, Floats] = field(default_factory=dict)
    without_request: int = 0
    before_request: int = 0
    unknown_labels: int = 0
    without_prediction: int = 0
    incomplete: int = 0
    not_yet_known: int = 0
    replaced: int = 0
    losses: WindowLosses = field(default_factory=dict)

    def counted(self) -> int:
        """Labels that count."""
        return round(sum(float(each.sum() if each.ndim > 1 else each[0]) for each in self.outcomes.values()))


def count_labels(
    exchanges: DataFrame, labels: DataFrame, source: LabelSource, plan: CountPlan, population: Population
) -> LabelCounts:
    """Join the labels to the predictions of the period, and count them.

    Args:
        exchanges: rows with the columns of `payload.COLUMNS`.
        labels: rows of the label table.

    Raises:
        LabelsRefused: the label table lacks a column.
    """
    require_columns(labels, source)
    predicted = _predicted(exchanges, source, plan)
    known = known_labels(labels, source, plan)
    rows = _counts(_joined(predicted, known, source, plan), population)
    unmatched = sum(row["labels"] for row in rows if row["window"] is None)
    matched = [row for row in rows if row["window"] is not None]
    early = sum(row["labels"] for row in matched if row["is_early"])
    timely = [row for row in matched if not row["is_early"]]
    outcomes, unknown = _outcomes(timely, population)
    without_request = _without_request(known, exchanges, source, plan)
    incomplete, late = uncounted(labels, source, plan)
    return LabelCounts(
        outcomes, without_request, early, unknown, max(0, unmatched - without_request), incomplete, late,
        sum(row["replaced"] for row in rows), losses_by_window(timely) if population.losses else {},
    )  # fmt: skip


def _predicted(exchanges: DataFrame, source: LabelSource, plan: CountPlan) -> DataFrame:
    """A row for each prediction with its window, bin, value and key; rows without a key are left out."""

    def on_worker(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            requests = batch.cast(_LOGGED).to_pylist()  # as bytes: a text that is no UTF-8 is no JSON either
            yield batch_of([row for request in requests for row in _rows(request, source, plan)], _ARROW)

    successful = exchanges.where((F.col("status") == F.lit(SUCCESS)) & F.col("at").isNotNull()).select(
        "at", "request", "response", "served", "client_request_id"
    )
    return successful.mapInArrow(on_worker, _PREDICTED)


def _rows(request: Mapping[str, Any], source: LabelSource, plan: CountPlan) -> Iterator[tuple[Any, ...]]:
    window = (request["at"] - plan.first) // plan.length
    if plan.prediction is None or not plan.is_ours(request["served"]) or not 0 <= window < plan.windows:
        return
    found = unpack(request["request"], request["response"], SUCCESS, plan.response_field)
    if not isinstance(found, Exchanged) or not found.predictions:
        return
    if source.request_id is not None and len(found.records) > 1:
        return  # the ID names the request, and not which of its records
    indices, _ = plan.prediction.index(found.predictions)
    bounds = response_fields(request["response"], BOUNDS, len(found.records)) if plan.has_bounds else None
    bounds = bounds or [(None,) * len(BOUNDS)] * len(found.records)
    for number, (record, value, more, at) in enumerate(
        zip(found.records, found.predictions, bounds, indices.tolist(), strict=True)
    ):
        key = request["client_request_id"] if source.request_id is not None else key_of(record, source.entity)
        if key is None or at < 0:
            continue
        numbers = (float(each) if isinstance(each, int | float) else None for each in (value, *more))
        yield window, at, *numbers, key, request["at"], f"{request['at']}-{key}-{number}"


def _joined(predicted: DataFrame, known: DataFrame, source: LabelSource, plan: CountPlan) -> DataFrame:
    """Predictions with their labels; `is_early` marks labels that were known before their request.

    Labels by request of the period stay without a prediction: their window is null. Of several predictions of one key
    in a window, the last counts where the key names the label: repeated requests are no further evidence.
    """
    is_early = F.coalesce(F.col("known_at") < F.col("at"), F.lit(False))
    same = F.col("key") == F.col("label_key")
    if source.request_id is not None:
        pairs = known.join(predicted, same, "left").where(F.col("key").isNotNull() | of_the_period(source, plan))
    elif source.is_named_by_key:
        matched = predicted.join(known, same, "inner").withColumn("is_early", is_early)
        last = F.max(F.struct("at", "id", *_NUMBERS, "known_at", "label", "replaced")).alias("last")
        pairs = matched.groupBy("is_early", "window", "key").agg(last)
        taken = [F.col(f"last.{name}").alias(name) for name in (*_NUMBERS, "at", "known_at", "label", "replaced")]
        pairs = pairs.select("window", *taken)
    else:
        pairs = predicted.join(known, same, "inner")
        within = parse_length(source.within).total_seconds() * 1e6
        after = (F.col("stamped") >= F.col("at")) & (F.col("stamped") <= F.col("at") + F.lit(round(within)))
        first = F.min(F.struct("stamped", "known_at", "label", "replaced")).alias("first")
        pairs = pairs.where(after).groupBy("id", "window", *_NUMBERS, "at").agg(first)
        pairs = pairs.select("window", *_NUMBERS, "at", "first.known_at", "first.label", "first.replaced")
    return pairs.select("window", *_NUMBERS, "label", "replaced", is_early.alias("is_early"))


def _counts(joined: DataFrame, population: Population) -> list[Any]:
    labels = F.count("label").alias("labels"), F.sum("replaced").alias("replaced")
    if population.classes:
        return joined.groupBy("is_early", "window", "label", "bin").agg(*labels).collect()
    finite = F.abs(F.col("number")) < F.lit(float("inf"))  # a text such as NaN is a number for Spark, and no label
    numbers = joined.withColumn("number", F.expr("try_cast(label AS double)"))
    numbers = numbers.withColumn("number", F.when(finite, F.col("number")))
    error = F.abs(F.col("value") - F.col("number"))
    sums = [F.count(error), F.sum(error), F.sum(error * error), F.sum(error * error * error * error)]
    named = [each.alias(name) for each, name in zip(sums, MOMENTS, strict=True)]
    if population.losses:
        numbers, named = with_losses(numbers), [*named, *loss_aggregates()]
    return numbers.groupBy("is_early", "window").agg(*named, *labels).collect()


def _outcomes(rows: Sequence[Any], population: Population) -> tuple[dict[int, Floats], int]:
    """Outcomes by window, and the number of labels that are no class or number."""
    outcomes: dict[int, Floats] = {}
    unknown = 0
    if not population.classes:
        for row in rows:
            outcomes[row["window"]] = np.asarray([float(row[name] or 0) for name in MOMENTS])
            unknown += row["labels"] - row["rows"]
        return outcomes, unknown
    assert population.prediction is not None  # noqa: S101  (predictions were counted by its bins)
    bins: ColumnBins = population.prediction.bins
    index = {str(label): at for at, label in enumerate(population.classes)}
    if len(population.classes) == 2:
        index |= {"false": 0, "true": 1, "0.0": 0, "1.0": 1}
    for row in rows:
        if (label := index.get(row["label"])) is None:
            unknown += row["labels"]
            continue
        found = outcomes.setdefault(row["window"], np.zeros((len(population.classes), bins.size)))
        found[label, row["bin"]] += row["labels"]
    return outcomes, unknown


def _without_request(known: DataFrame, exchanges: DataFrame, source: LabelSource, plan: CountPlan) -> int:
    """Label rows of the period without a request in it; all label rows, if they have no time."""
    if source.request_id is not None:
        requests = exchanges.select(F.col("client_request_id").alias("key"))
    else:  # those of other versions are requests too
        requests = _predicted(exchanges, source, replace(plan, served=frozenset()))
    keys = requests.select("key").distinct()
    rows = known.where(of_the_period(source, plan))
    return rows.join(keys, F.col("label_key") == F.col("key"), "left_anti").count()
