"""What ran: the commit of the project, the interpreter and the packages."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass

from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT

from scoring.scorer import Scorer
from training.registry.signature import requirements


@dataclass(frozen=True)
class Environment:
    """Where a version was made.

    Attributes:
        commit: of the project; "unknown" outside a checkout.
        python: version of the interpreter.
        system: operating system and processor.
        packages: what loading the model needs, with its versions.
    """

    commit: str
    python: str
    system: str
    packages: Sequence[str]


def current(run: Run, scorer: Scorer) -> Environment:
    """What runs now, and the commit that the run was started at."""
    return Environment(
        commit=run.data.tags.get(MLFLOW_GIT_COMMIT, "unknown"),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        packages=requirements(scorer),
    )
