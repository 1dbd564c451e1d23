"""Rehearsal of a release with the installed wheel: deploy to stand-ins, ask, roll back.

It runs in the environment of the wheel, in a temporary copy of the dbt project and the use case term_deposit. The
models go to a stand-in of Unity Catalog's registry, through MLflow's own client. The endpoint is the model server,
which speaks the API of Databricks' serving endpoints. `make release-rehearsal` builds the wheel first.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parents[2]
sys.path.append(str(HERE))  # for the stand-ins; the packages come from the wheel

from tests.ports import free_port  # noqa: E402
from tests.stand_ins.unity_catalog_registry import serving  # noqa: E402

USE_CASE = "term_deposit"
BUILD = ["--select", "+client_features", "+term_deposit_labels", "--exclude-resource-type", "unit_test"]
TRAIN = ["training.run", "--use-case", USE_CASE, "--max-evals", "1"]


def main() -> None:
    import lakehouse

    if HERE in Path(lakehouse.__file__).resolve().parents and "site-packages" not in lakehouse.__file__:
        sys.exit(f"the packages come from {lakehouse.__file__}, not from a wheel")
    with tempfile.TemporaryDirectory() as folder, serving("rehearsal.models") as registry:
        project = Path(folder) / "project"
        _copy_project(project)
        environment = {
            **os.environ,
            "DATABRICKS_HOST": registry.url,
            "DATABRICKS_TOKEN": "a-token",
            "DATABRICKS_CATALOG": "rehearsal",
            "MLFLOW_REGISTRY_URI": "databricks-uc",
            "MODEL_SERVER": f"http://127.0.0.1:{free_port()}",
            "NO_COLOR": "1",
        }
        _rehearse(project, environment)
    sys.stdout.write("The rehearsal passed.\n")


def _rehearse(project: Path, environment: dict[str, str]) -> None:
    def run(module: str, *arguments: str, expect: str = "") -> None:
        command = [sys.executable, "-m", module, *arguments]
        sys.stdout.write(f"$ python -m {module} {' '.join(arguments)}\n")
        sys.stdout.flush()
        result = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        if result.returncode or expect not in result.stdout:
            sys.exit(f"exit code {result.returncode}, expected '{expect}':\n{result.stdout}\n{result.stderr}")

    run("dbt.cli.main", "build", *BUILD, expect="ERROR=0")
    run(*TRAIN, "--families", "logistic_regression", expect="version 1 is the challenger")
    run("deployment.run", "promote", "--use-case", USE_CASE, expect="Version 1 is the champion")
    run(*TRAIN, "--families", "lightgbm", expect="version 2 is the challenger")
    run("deployment.run", "serve", "--use-case", USE_CASE, "--detach", expect="serves version 1")
    try:
        run("deployment.run", "ask", "--use-case", USE_CASE, expect="probability")
        run("deployment.run", "promote", "--use-case", USE_CASE, expect="serves version 2")
        run("deployment.run", "ask", "--use-case", USE_CASE, expect="probability")
        run("deployment.run", "rollback", "--use-case", USE_CASE, "--reason", "rehearsal", expect="serves version 1")
        run("deployment.run", "verify", "--use-case", USE_CASE)
    finally:
        run("deployment.run", "stop")


def _copy_project(project: Path) -> None:
    """Copy what a project has besides the wheel, with criteria that any second version meets."""
    shutil.copytree(HERE / "dbt_project", project / "dbt_project", ignore=shutil.ignore_patterns("adapter"))
    for name in ("dbt_project.yml", "selectors.yml", "profiles.yml"):
        shutil.copy(HERE / name, project / name)
    use_case = yaml.safe_load((HERE / "training" / "use_cases" / f"{USE_CASE}.yml").read_text(encoding="utf-8"))
    use_case["promotion"] = {"metric": "roc_auc", "minimum": 0.5, "margin": 0.4}
    folder = project / "training" / "use_cases"
    folder.mkdir(parents=True)
    (folder / f"{USE_CASE}.yml").write_text(yaml.safe_dump(use_case), encoding="utf-8")


if __name__ == "__main__":
    from lakehouse.interrupts import StopSignals

    with StopSignals().interrupt():  # SIGTERM removes the temporary folder, too
        main()
