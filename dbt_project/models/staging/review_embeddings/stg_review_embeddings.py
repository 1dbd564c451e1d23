"""The embedding of each distinct text of the reviews. A text is embedded once, whenever it came.

It needs the extra `text` where it runs, and imports this project there: the endpoint embeds a request by the same
code.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

MODEL = "minilm_l6_int8"
COLUMNS = "text_sha256 string, model string, embedding array<float>"
PARTS = 8  # tasks at least; a text takes about 15 ms
PORTION = 256  # texts of a batch


def model(dbt: Any, session: SparkSession) -> DataFrame:
    from scoring.texts.embedder import embedder

    embedder(MODEL)  # without the extra, the build stops here and names it
    reviews = dbt.ref("stg_clothing_reviews")
    texts = reviews.select(F.coalesce("review", F.lit("")).alias("text")).distinct()
    texts = texts.select(F.sha2("text", 256).alias("text_sha256"), "text")
    if dbt.is_incremental:
        known = session.table(str(dbt.this)).where(F.col("model") == MODEL).select("text_sha256")
        texts = texts.join(known, "text_sha256", "left_anti")
    return texts.repartition(PARTS).mapInArrow(embedded, COLUMNS)


def embedded(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    from scoring.texts.embedder import embedder

    opened = embedder(MODEL)
    for batch in batches:
        for start in range(0, batch.num_rows, PORTION):
            rows = batch.slice(start, PORTION)
            embeddings = [opened.embed(text) for text in rows.column("text").to_pylist()]
            columns = [
                rows.column("text_sha256"),
                pa.array([MODEL] * rows.num_rows),
                pa.array(embeddings, pa.list_(pa.float32())),
            ]
            yield pa.RecordBatch.from_arrays(columns, names=["text_sha256", "model", "embedding"])
