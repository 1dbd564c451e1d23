"""A command of this project as a task on Databricks: `command.py NAME=value ... training.run --use-case churn`.

A serverless task has no environment variables of its own, so they stand before the module, as for `env`.
"""

import os
import runpy
import sys
from pathlib import Path


def run(arguments: list[str]) -> None:
    """Run a module of the project as `python -m` would.

    Raises:
        SystemExit: it ended with another exit code than 0; of 0 a task would be told as failed.
    """
    while "=" in arguments[0]:
        name, _, value = arguments.pop(0).partition("=")
        os.environ[name] = value
    sys.argv = arguments
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code:
            raise


if __name__ == "__main__":
    # The files lie as in the repository: the packages are beside this folder.
    here = Path(sys.argv[0]).resolve().parent
    sys.path.insert(0, str(here.parent))
    run(sys.argv[1:])
