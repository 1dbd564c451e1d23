"""The environment of a run: commit of the project, interpreter and packages."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass

from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT

from scoring.scorer import Scorer
from training.registry.signature import requirements


@dataclass(frozen=True)
class Environment:
    """The environment that trained a version.

    Attributes:
        commit: of the project; "unknown" outside a checkout.
        python: version of the interpreter.
        system: operating system and processor.
        packages: packages that loading the model needs, pinned to their versions.
    """

    commit: str
    python: str
    system: str
    packages: Sequence[str]


def current(run: Run, scorer: Scorer) -> Environment:
    """Describe this process, with the commit at which the run was started."""
    return Environment(
        commit=run.data.tags.get(MLFLOW_GIT_COMMIT, "unknown"),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        packages=requirements(scorer),
    )
