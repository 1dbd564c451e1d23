"""Builds the written models, trains for a short time, and names the next commands."""

import os

from mlflow.entities.model_registry import ModelVersion

from lakehouse import console
from lakehouse.build import build
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from training.init.proposing.proposal import Proposal
from training.init.writing.names import Names
from training.init.writing.staging import secret_variable
from training.run import train
from training.stages.search import apply_overrides
from training.use_case.use_case import load


class BuildFailed(LakehouseError):
    """dbt could not build the written models."""

    @classmethod
    def of(cls, command: str) -> "BuildFailed":
        return cls("the tables could not be built", hint=f"Correct the models, then: {command}")


def build_tables(proposal: Proposal) -> None:
    """Build the tables of a proposal, and those before them.

    Raises:
        BuildFailed: a model or a test failed; dbt's log is printed.
    """
    names = Names.of(proposal)
    if "url" in proposal.table.landing:
        os.environ.setdefault(secret_variable(proposal.name), str(proposal.table.landing["url"]))
    selected = ["--select", f"+{names.features}", f"+{names.labels}"]
    if build(selected) != 0:
        raise BuildFailed.of(f"dbt build {' '.join(selected)}")


def train_briefly(name: str, settings: Settings, minutes: float, families: str | None) -> ModelVersion:
    """Train the use case for some minutes."""
    return train(apply_overrides(load(name), {"max_minutes": minutes, "families": families}), settings)


def next_commands(name: str, version: ModelVersion, *, has_password: bool) -> None:
    """Print the next commands.

    Args:
        name: name of the use case.
        version: the new version.
        has_password: True if the address of the source has a password, which no file may hold.
    """
    console.stage("Next commands")
    if has_password:
        console.detail(f"set {secret_variable(name)} to the address of the database before each build")
    console.verbatim(
        f"  open the report:    reports/{name}/version-{version.version}.html",
        f"  promote it:         python -m deployment.run promote --use-case {name}",
        f"  serve it:           python -m deployment.run serve --use-case {name} --detach",
        f"  ask it:             python -m deployment.run ask --use-case {name}",
        f"  train longer:       python -m training.run --use-case {name}",
    )
