"""Runs the tasks of the bundle as a serverless job would: `make test-jobs`.

Each Python that is named as an argument gets a fresh environment with resources/requirements.txt, and PySpark in
place of the runtime's. The tasks run in a folder with the synced files alone, with the parameters of their YAML.

Stand-ins: models go to a registry with the rules of Unity Catalog, through MLflow's own client. The runtime's Spark
is a Spark Connect server of the embedded engine, whose workers import the synced files. Feature tables are those of a
local warehouse, and runs go to SQLite. Databricks' feature client has a licence of its own and runs in a workspace
only, so it is left out here. The dbt task runs in an environment of its own, on the stand-in of a SQL warehouse. That
needs Java.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pathspec
import yaml
from deltalake import DeltaTable

from benchmarks.harness.jvm_spark import available
from deployment.model_server.request_log.payload_table import Exchange, append
from lakehouse.home import LOCAL
from lakehouse.settings import PROJECT
from resources.bundle import resolve
from tests.checkout import Checkout, ended
from tests.package.dbt_task import DbtTask
from tests.stand_ins.sql_warehouse.server import serving as serving_warehouse
from tests.stand_ins.unity_catalog_registry import serving

REQUESTS = 40
USE_CASE, TARGET, CATALOG = "term_deposit", "prod", "prod"
LEFT_OUT = "databricks-feature-engineering"
FEATURES = ("--select", "+client_features", "+term_deposit_labels", "--exclude-resource-type", "unit_test")
SEARCH = ("--families", "lightgbm,catboost,xgboost,logistic_regression", "--max-evals", "6", "--method", "random")
SERVER = (
    "import sys; from pysail.spark import SparkConnectServer; server = SparkConnectServer('127.0.0.1', 0);"
    "server.start(background=True); print(*server.listening_address, flush=True); sys.stdin.read()"
)
VALUES = {
    "{{input.use_case}}": USE_CASE,
    "{{input.experiment}}": USE_CASE,
    "{{input}}": USE_CASE,
    "{{job.parameters.use_case}}": "",
    "{{job.parameters.model_name}}": f"{CATALOG}.models.{USE_CASE}",
    "{{job.parameters.model_version}}": "1",
}


def main() -> None:
    uv = Path(sys.executable).with_name("uv")
    with tempfile.TemporaryDirectory(prefix="jobs-") as folder, ExitStack() as stand_ins:
        root = Path(folder)
        checkout = Checkout.below(root / "build")
        checkout.run("dbt", "build", *FEATURES)
        volumes = root / "volumes"
        warehouse = stand_ins.enter_context(serving_warehouse(volumes)) if available() else None
        for number, python in enumerate(sys.argv[1:] or [sys.executable]):
            if not _runs(python):
                _report(f"{python} does not run here, so no task was tried on it; name another one in JOB_PYTHONS")
                continue
            job = root / f"job-{number}"
            _copy_synced_files(job)
            dbt = DbtTask.of(resolve(TARGET).resources["jobs"]["features"])
            if warehouse is None:
                _report("features.build: not tried, because the stand-in of a SQL warehouse needs Java 17")
            else:
                with _environment(uv, python, root / "dbt", dbt.dependencies) as environment:
                    _report(f"  features.build: {dbt.run(environment, job, warehouse, volumes)}")
            packages = _packages_of_the_jobs()
            # Workers of Spark have the packages of the task and its Python, and the engine beside them.
            with (
                _environment(uv, python, root / "engine", [*packages, "pysail"]) as engine,
                _environment(uv, python, root / "project", packages) as environment,
            ):
                _run_tasks(environment, engine, job, checkout.root / "warehouse")


def _runs(python: str) -> bool:
    try:
        return subprocess.run([python, "--version"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _report(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _packages_of_the_jobs() -> list[str]:
    """Packages that the tasks declare, without the one that runs in a workspace only; PySpark is the runtime's."""
    lines = (PROJECT / "resources" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [*(line for line in lines if not line.startswith(LEFT_OUT)), "pyspark[connect]==4.2.0"]


@contextmanager
def _environment(uv: Path, python: str, folder: Path, packages: Sequence[str]) -> Iterator[Path]:
    """A fresh environment of these packages; versions are those of the lock where it has them."""
    wanted = folder.with_suffix(".txt")
    wanted.write_text("\n".join(packages) + "\n", encoding="utf-8")
    subprocess.run([uv, "venv", "--quiet", "--python", python, folder], check=True)
    install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", folder, "--requirement", wanted]
    subprocess.run([*install, "--constraints", PROJECT / "requirements.lock"], check=True)
    version = subprocess.run([folder / "bin" / "python", "--version"], check=True, capture_output=True, text=True)
    _report(f"{version.stdout.strip()}: {folder.name} environment installed")
    yield folder
    shutil.rmtree(folder)


def _run_tasks(environment: Path, engine: Path, folder: Path, warehouse: Path) -> None:
    python = environment / "bin" / "python"
    _relax_criteria(folder)
    jobs = resolve(TARGET).resources["jobs"]
    with serving(f"{CATALOG}.models") as registry, _engine(engine, folder) as remote:
        stand_ins = {
            "FEATURE_STORE": LOCAL.name,
            "LAKEHOUSE_WAREHOUSE": str(warehouse),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
            "MLFLOW_REGISTRY_URI": "databricks-uc",
            "SPARK_REMOTE": remote,
        }
        signed_in = {"DATABRICKS_HOST": registry.url, "DATABRICKS_TOKEN": "a-token", "NO_COLOR": "1"}

        def run(job: str, task: str, *more: str, expect: str) -> None:
            parameters = [VALUES.get(word, word) for word in _parameters(jobs[job], task)]
            began = time.monotonic()
            output = _run_task(python, folder, [*_with(parameters, stand_ins), *more], signed_in)
            if expect not in output:
                sys.exit(f"{job}.{task}: expected '{expect}' in:\n{output}")
            _report(f"  {job}.{task}: {time.monotonic() - began:.0f} s")

        run("features", "publish", expect="client_features")
        run("training", "train_one", *SEARCH, expect="version 1 is the challenger")
        run("deployment", "evaluation", expect="Dry run")
        run("deployment", "approval", expect="")
        run("deployment", "deployment", expect="Version 1 is the champion")
        model = registry.models[f"{CATALOG}.models.{USE_CASE}"]
        if model.aliases.get("champion") != "1":
            sys.exit(f"the registry has the aliases {model.aliases}")
        _log_requests(folder, warehouse)
        run("monitoring", "monitor_one", expect="Recommended action: nothing")
        findings = DeltaTable(warehouse / "monitoring" / "findings").to_pyarrow_table()
        if set(findings["kind"].to_pylist()) != {"errors", "refused"} or set(findings["rows"].to_pylist()) != {
            REQUESTS
        }:
            sys.exit(f"the logged requests were not tested: {findings.to_pylist()}")
        run("features", "maintain", expect="gold.client_features")


def _log_requests(folder: Path, warehouse: Path) -> None:
    """Log golden requests of the day before, as many as are tested for failures and too few for a drift."""
    use_case = yaml.safe_load((folder / "training" / "use_cases" / f"{USE_CASE}.yml").read_text(encoding="utf-8"))
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    exchanges = [
        Exchange(
            id=str(number),
            received=midnight.timestamp() - 3600 - number,
            client_request_id=str(number),
            request=json.dumps({"dataframe_records": [use_case["golden_request"]]}).encode(),
            served=f"{USE_CASE}-1",
            milliseconds=4.0,
            status=200,
            response=json.dumps({"predictions": [{"probability": 0.1}]}).encode(),
        )
        for number in range(REQUESTS)
    ]
    endpoint = use_case["serving"]["endpoint"].replace("-", "_")
    append(warehouse / "logs" / f"{endpoint}_payload", [each.row() for each in exchanges])


def _copy_synced_files(folder: Path) -> None:
    """Copy what `databricks bundle deploy` uploads: files of git without those that `sync` excludes."""
    bundle = yaml.safe_load((PROJECT / "databricks.yml").read_text(encoding="utf-8"))
    excluded = pathspec.GitIgnoreSpec.from_lines(bundle["sync"]["exclude"])
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for name in tracked:
        if not excluded.match_file(name) and (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, folder / name)


def _relax_criteria(folder: Path) -> None:
    """Let a model of a few trials meet the criteria."""
    file = folder / "training" / "use_cases" / f"{USE_CASE}.yml"
    use_case = yaml.safe_load(file.read_text(encoding="utf-8"))
    use_case["promotion"] = {"metric": "roc_auc", "minimum": 0.5}
    file.write_text(yaml.safe_dump(use_case), encoding="utf-8")


@contextmanager
def _engine(environment: Path, folder: Path) -> Iterator[str]:
    """Run a Spark Connect server of the embedded engine in a process of an environment with it."""
    process = subprocess.Popen(
        [environment / "bin" / "python", "-c", SERVER], cwd=folder, env={**os.environ, "RUST_LOG": "error"},
        text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with ended(process):
        assert process.stdout is not None
        host, port = process.stdout.readline().split()
        yield f"sc://{host}:{port}"


def _parameters(job: Mapping[str, Any], key: str) -> Sequence[str]:
    tasks = [task.get("for_each_task", {}).get("task", task) for task in job["tasks"]]
    (found,) = [task["spark_python_task"]["parameters"] for task in tasks if task["task_key"] == key]
    return list(found)


def _with(parameters: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """The parameters, with more variables before the module."""
    module = next(index for index, word in enumerate(parameters) if re.match(r"\w+=", word) is None)
    return [*parameters[:module], *(f"{name}={value}" for name, value in variables.items()), *parameters[module:]]


def _run_task(python: Path, folder: Path, words: Sequence[str], variables: Mapping[str, str]) -> str:
    """Output of a task that succeeded."""
    # Nothing of this environment: no PYTHONPATH, and no variables but those of a sign-in.
    environment = {"PATH": f"{python.parent}:/usr/bin:/bin", "HOME": str(folder), **variables}
    result = subprocess.run(
        [python, "command.py", *words], cwd=folder / "resources", env=environment,
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    if result.returncode:
        sys.exit(f"exit code {result.returncode} of {' '.join(words)}:\n{result.stdout}\n{result.stderr}")
    return result.stdout


if __name__ == "__main__":
    from lakehouse.interrupts import StopSignals

    with StopSignals().interrupt():  # SIGTERM removes the temporary folder, too
        main()
