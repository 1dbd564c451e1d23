"""Runs a command of this project as a Databricks task: `command.py NAME=value ... training.run --use-case churn`.

A serverless task cannot set environment variables, so they precede the module, as with `env`. Feature store, tracking
server and registry are those of the workspace.
"""

import os
import runpy
import sys
from pathlib import Path

IN_WORKSPACE = {"FEATURE_STORE": "databricks", "MLFLOW_TRACKING_URI": "databricks"}


def run(arguments: list[str]) -> None:
    """Run a module of the project as `python -m` does.

    Raises:
        SystemExit: The exit code is not 0. Databricks would report a task as failed even for `SystemExit(0)`.
    """
    while "=" in arguments[0]:
        name, _, value = arguments.pop(0).partition("=")
        os.environ[name] = value
    sys.argv = arguments
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as exit_:
        if exit_.code:
            raise


if __name__ == "__main__":
    os.environ.update(IN_WORKSPACE)
    # Same layout as in the repository: the packages are next to this folder.
    root = str(Path(sys.argv[0]).resolve().parent.parent)
    sys.path.insert(0, root)
    # Trials in processes of their own need the packages too.
    os.environ["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    run(sys.argv[1:])
