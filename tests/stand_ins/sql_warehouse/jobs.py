"""Workspace files and one-time job runs, for dbt's Python models on serverless compute.

A run executes its notebook in a fresh process outside of the repository, in a session of the warehouse's Spark.
The project's packages cannot be imported there, because a serverless environment does not have them.
"""

import base64
import itertools
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

USER = "a.person@example.com"
WAITS_SECONDS = 30.0
STOPS_AFTER_SECONDS = 300.0
START = """
import sys
for package in ("lakehouse", "scoring", "training", "deployment", "simulation", "benchmarks", "dbt"):
    sys.modules[package] = None
from pyspark.sql import SparkSession
spark = SparkSession.builder.remote(sys.argv[1]).getOrCreate()
with open(sys.argv[2], encoding="utf-8") as notebook:
    exec(compile(notebook.read(), sys.argv[2], "exec"), {"spark": spark, "__name__": "__main__"})
"""


class Invalid(Exception):
    """A request that the workspace refuses, with its HTTP status and error code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass
class Run:
    notebook: str
    finished: threading.Event = field(default_factory=threading.Event)
    error: str = ""


class Workspace:
    """Notebooks by path, and runs by number."""

    def __init__(self, remote: str) -> None:
        self._remote = remote
        self._folders, self._notebooks = {"/Shared"}, dict[str, str]()
        self._numbers = itertools.count(1)
        self.runs: dict[int, Run] = {}
        self.routes: dict[tuple[str, str], Callable[[dict[str, Any]], dict[str, Any]]] = {
            ("POST", "/api/2.0/workspace/mkdirs"): self.make_folder,
            ("POST", "/api/2.0/workspace/import"): self.import_notebook,
            ("POST", "/api/2.2/jobs/runs/submit"): self.submit,
            ("GET", "/api/2.2/jobs/runs/get"): self.get,
            ("GET", "/api/2.2/jobs/runs/get-output"): self.get_output,
            ("GET", "/api/2.0/preview/scim/v2/Me"): lambda _: {"userName": USER, "id": "1"},
        }

    def make_folder(self, request: dict[str, Any]) -> dict[str, Any]:
        self._folders.add(request["path"].rstrip("/"))
        return {}

    def import_notebook(self, request: dict[str, Any]) -> dict[str, Any]:
        path = request["path"]
        if path.rpartition("/")[0] not in self._folders:
            raise Invalid(404, "RESOURCE_DOES_NOT_EXIST", f"the parent folder of {path} does not exist")
        if (request["language"], request["format"]) != ("PYTHON", "SOURCE"):
            raise Invalid(400, "INVALID_PARAMETER_VALUE", f"not a Python notebook: {path}")
        self._notebooks[path] = base64.b64decode(request["content"]).decode()
        return {}

    def submit(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start a run of one notebook task."""
        (task,) = request["tasks"]
        environments = {each["environment_key"] for each in request.get("environments", [])}
        compute = {"existing_cluster_id", "new_cluster", "job_cluster_key"} & set(task)
        if compute:
            raise Invalid(400, "INVALID_PARAMETER_VALUE", f"the workspace has serverless compute only, no {compute}")
        if task.get("environment_key") is not None and task["environment_key"] not in environments:
            raise Invalid(400, "INVALID_PARAMETER_VALUE", f"no environment {task['environment_key']} in the request")
        path = task["notebook_task"]["notebook_path"]
        if path not in self._notebooks:
            raise Invalid(404, "RESOURCE_DOES_NOT_EXIST", f"no notebook {path}")
        number, run = next(self._numbers), Run(self._notebooks[path])
        self.runs[number] = run
        threading.Thread(target=self._execute, args=(run,), daemon=True).start()
        return {"run_id": number}

    def get(self, request: dict[str, Any]) -> dict[str, Any]:
        """State of a run. It waits for the end, because dbt asks every ten seconds only."""
        number = int(request["run_id"])
        run, known = self._run(number), {"run_id": number, "job_id": number}
        if not run.finished.wait(WAITS_SECONDS):
            return {**known, "state": {"life_cycle_state": "RUNNING"}}
        # Databricks reports a failed notebook as an error of the run, with the traceback in the output of its task.
        state = {"life_cycle_state": "INTERNAL_ERROR" if run.error else "TERMINATED"}
        state |= {"result_state": "FAILED" if run.error else "SUCCESS", "state_message": run.error[-200:]}
        return {**known, "state": state, "tasks": [{"run_id": number, "task_key": "inner_notebook"}]}

    def get_output(self, request: dict[str, Any]) -> dict[str, Any]:
        run = self._run(int(request["run_id"]))
        return {"error": run.error.strip().rpartition("\n")[2], "error_trace": run.error}

    def permit(self, job: str, request: dict[str, Any]) -> dict[str, Any]:
        """Change who may do what with the job of a run."""
        self._run(int(job))
        for entry in request["access_control_list"]:
            if entry["permission_level"] == "IS_OWNER" and entry.get("user_name") != USER:
                raise Invalid(400, "INVALID_PARAMETER_VALUE", f"{entry} is not the user that started the run")
        return {"object_id": f"/jobs/{job}", "object_type": "job"}

    def _run(self, number: int) -> Run:
        if number not in self.runs:
            raise Invalid(400, "INVALID_PARAMETER_VALUE", f"no run {number}")
        return self.runs[number]

    def _execute(self, run: Run) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "notebook.py"
            path.write_text(run.notebook, encoding="utf-8")
            command = [sys.executable, "-c", START, self._remote, str(path)]
            try:
                done = subprocess.run(
                    command, cwd=folder, capture_output=True, text=True, timeout=STOPS_AFTER_SECONDS, check=False
                )
                run.error = done.stderr if done.returncode else ""
            except subprocess.TimeoutExpired:
                run.error = f"the run took more than {STOPS_AFTER_SECONDS:.0f} s"
            finally:
                run.finished.set()
