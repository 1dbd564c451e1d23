"""Networks fitted by several processes on Spark's executors: each process reads its part of the rows there."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from lakehouse.errors import first_line
from scoring.estimators.early_stopping import WeightedRows
from scoring.estimators.network import Network
from scoring.tasks import TASKS
from training.networks.options import Diverged
from training.networks.targets import LearnedLabels
from training.networks.torch_learners import TorchLearner
from training.spark_ml.column_names import FEATURES, LABEL, POSITION, VALIDATION, WEIGHT
from training.spark_ml.rows import RowsToFit, in_order

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from training.networks.shard import ShardFit

ROWS_PER_PROCESS = 500  # at least


@dataclass(frozen=True)
class SparkNetworkLearner:
    """A network of PyTorch, fitted by `TorchDistributor`.

    Attributes:
        learner: fits the network in one process; it has shape, options and sizes.
        processes: number of processes; fewer where rows are few.
    """

    learner: TorchLearner
    processes: int

    def fit(self, data: RowsToFit) -> Network:
        """Find the epochs on the validation rows, then fit on all rows; only the graph comes back.

        Raises:
            ValueError: the network cannot learn from these rows, or Spark cannot run so many processes at once.
            Diverged: the loss is no number.
        """
        from pyspark.ml.functions import vector_to_array
        from pyspark.ml.torch.distributor import TorchDistributor

        from training.networks.shard import ShardFit  # it imports PyTorch

        labels, weights, validation = (data.columns[name] for name in (LABEL, WEIGHT, VALIDATION))
        task = TASKS[self.learner.task]
        classes = max(2, int(labels.max()) + 1) if task.predicts_classes else 0
        validates = not classes or len(np.unique(labels[~validation])) == len(np.unique(labels))
        units = LearnedLabels.of(task.name, labels, weights, classes, balanced=False)
        fit = ShardFit(self.learner, classes, (units.scale, units.offset), float(weights.mean()), validates)
        number = max(1, min(self.processes, len(labels) // ROWS_PER_PROCESS))
        arrays = data.dense().select(
            POSITION, LABEL, WEIGHT, VALIDATION, vector_to_array(F.col(FEATURES)).alias(FEATURES)
        )
        rows = in_order(arrays, len(labels), number)
        try:
            distributor = TorchDistributor(number, local_mode=False, use_gpu=_has_gpus(rows.sparkSession))
            distributor.logger.setLevel(logging.WARNING)
            # `run` has no rows; this method, as old, sends each process its partition.
            found = distributor._train_on_dataframe(fit_own_rows, rows, fit)
        except (PySparkException, RuntimeError) as err:
            raise ValueError(f"Spark cannot fit this network in {number} processes: {first_line(err)}") from err
        if isinstance(found, str):
            raise Diverged(found)
        graph, epochs = found
        return Network(task.name, graph, classes, epochs)


def fit_own_rows(fit: "ShardFit") -> tuple[bytes, int] | str:
    """Fit on the partition of this process; `TorchDistributor` calls it in each of its processes."""
    return fit.run(_own_rows())


def _own_rows() -> WeightedRows:
    """The rows of this process, in order of their positions."""
    from pyspark.ml.torch.distributor import SPARK_PARTITION_ARROW_DATA_FILE

    with pa.OSFile(os.environ[SPARK_PARTITION_ARROW_DATA_FILE]) as file, pa.ipc.open_stream(file) as stream:
        rows = stream.read_all().sort_by(POSITION).combine_chunks()
    values = rows[FEATURES].combine_chunks().flatten().to_numpy().reshape(rows.num_rows, -1)
    columns: Mapping[str, npt.NDArray[Any]] = {
        name: rows[name].to_numpy(zero_copy_only=False) for name in (LABEL, WEIGHT, VALIDATION)
    }
    return WeightedRows(values, columns[LABEL], columns[WEIGHT], columns[VALIDATION].astype(np.bool_))


def _has_gpus(session: "SparkSession") -> bool:
    """True if tasks of the cluster have GPUs."""
    return bool(session.conf.get("spark.task.resource.gpu.amount", ""))
