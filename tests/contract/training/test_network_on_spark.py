"""A network that two processes fit on Spark, each on its part of the rows, by `TorchDistributor`.

`python -m tests.contract.training.test_network_on_spark FOLDER REMOTE` trains it, in a process of its own.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from benchmarks.harness.jvm_spark import available
from lakehouse.session import open_session
from lakehouse.settings import PROJECT
from tests.contract.databases import new_database
from tests.contract.people import USE_CASE, mlflow_restored, write_tables
from tests.contract.training.test_families_on_spark import Trained, require_promoted_and_served, serving
from tests.contract.training.trainings_on_spark import on_spark, received, settings
from tests.unit.networks.points import NETWORKS, require
from tests.unit.points import rows_of
from training.run import train
from training.search.fitting import fit
from training.space.joint_space import Candidate
from training.space.space import Params
from training.tracking import tracking
from training.use_case.use_case import UseCase

FAMILY = "spark_mlp"
POINT: Params = {**NETWORKS["mlp"], "processes": 2}


def case() -> UseCase:
    """`people` as a use case with one trial on one fold."""
    declared = USE_CASE.model_dump()
    space = {FAMILY: {name: [value] for name, value in POINT.items()}}
    search = {"families": [FAMILY], "max_evals": 1, "blend": 0, "seed": 4, "space": space}
    return UseCase.model_validate(
        declared | {"name": FAMILY, "search": search, "split": declared["split"] | {"folds": 1}}
    )


@contextmanager
def parts_of_fits() -> Iterator[list[list[int]]]:
    """Rows of each process, for every fit inside the block."""
    found: list[list[int]] = []
    original = TorchDistributor._train_on_dataframe

    def recorded(distributor: TorchDistributor, function: Any, rows: Any, *arguments: Any) -> Any:
        counts = rows.groupBy(F.spark_partition_id()).count().collect()
        assert len(counts) == distributor.num_processes
        found.append([row["count"] for row in counts])
        return original(distributor, function, rows, *arguments)

    with (
        mock.patch.object(TorchDistributor, "_train_on_dataframe", recorded),
        mock.patch("training.spark_ml.network.ROWS_PER_PROCESS", 50),
    ):
        yield found


def main(folder: Path, remote: str) -> None:
    """Train a version; fit numbers twice, and once in one process; an unstable fit; what came back from Spark."""
    with mock.patch("training.stages.report.write_report"), parts_of_fits() as parts:
        version = train(case(), settings(folder, remote))
        here = rows_of("regression", 600)
        frame = on_spark(here, open_session(remote))
        with received() as batches:
            fitted = [fit(Candidate(FAMILY, POINT), frame, 3) for _ in range(2)]
        alone = fit(Candidate("mlp", NETWORKS["mlp"]), here, 3)
        inputs = here.inputs("dense")
        found = {
            "version": int(version.version),
            "run": version.run_id,
            "parts": parts,
            "received": [names for names, _ in batches],
            "repeats": fitted[0]["model"].graph == fitted[1]["model"].graph,
            "together": fitted[0].predict(inputs).tolist(),
            "alone": alone.predict(inputs).tolist(),
            "diverged": diverged(frame),
        }
    (folder / f"{FAMILY}.json").write_text(json.dumps(found))


def diverged(frame: Any) -> str:
    try:
        fit(Candidate(FAMILY, {**POINT, "learning_rate": 1e30}), frame, 3)
    except ValueError as err:
        return f"{type(err).__name__}: {err}"
    return "nothing"


@pytest.fixture(scope="module")
def trained(jvm_spark: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    require(FAMILY)
    folder = tmp_path_factory.mktemp("network")
    write_tables(folder)
    new_database(folder)
    command = [sys.executable, "-m", "tests.contract.training.test_network_on_spark", str(folder), jvm_spark]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    with mlflow_restored(), tracking(settings(folder, None)) as client:
        yield Trained(folder, client)


@pytest.mark.jvm
@pytest.mark.skipif(not available(), reason="Spark runs on the JVM, and that is a Java")
def test_two_processes_fit_a_network_each_on_its_part_of_the_rows(trained: Trained) -> None:
    found = trained.found(FAMILY)
    assert [len(parts) for parts in found["parts"]] == [2] * 5
    assert sum(found["parts"][1]) == len(trained.training_rows) == 280
    assert all(min(parts) > 100 for parts in found["parts"][2:])
    assert set(map(tuple, found["received"])) == {("chunk",), ("SPARK_PARTITION_ID()", "count")}
    assert found["repeats"]
    assert np.corrcoef(found["together"], found["alone"])[0, 1] > 0.98
    assert found["diverged"].startswith("Diverged: the loss is not a number in epoch ")
    version = trained.client.get_model_version(FAMILY, str(found["version"]))
    assert (version.tags["compiled"], float(version.tags["compiled_max_difference"])) == ("network", 0)
    assert trained.client.get_run(found["run"]).data.metrics["roc_auc"] > 0.6
    with serving(trained) as server:
        require_promoted_and_served(trained, server, case())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
