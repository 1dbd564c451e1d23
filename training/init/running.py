"""Builds the written models, trains for a short time, and names the next commands."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from lakehouse.wording import number_of
from training.init.proposing.proposal import Proposal
from training.init.writing.names import Names
from training.init.writing.staging import secret_variable
from training.run import train
from training.tracking import tracking
from training.use_case.use_case import load, with_search

_LEADERS = 10
_DBT = "import sys; from dbt.cli.main import cli; sys.argv[0] = 'dbt'; cli()"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class BuildFailed(LakehouseError):
    """dbt could not build the written models."""

    @classmethod
    def because(cls, output: str, command: str) -> "BuildFailed":
        lines = _COLOURS.sub("", output).splitlines()
        told = [line for line in lines if re.search(r"(Error|FAIL|ERROR|refused)", line)] or lines
        return cls(f"{command} failed:\n  " + "\n  ".join(told[-12:]), hint=f"Correct the models, then: {command}")


def build(proposal: Proposal, settings: Settings) -> None:
    """Build the tables of a proposal, and those before them; print the summary alone.

    Raises:
        BuildFailed: a model or a test failed.
    """
    names = Names.of(proposal)
    command = ["build", "--select", f"+{names.features}", f"+{names.labels}"]
    console.stage(f"dbt {' '.join(command)}")
    environment = {**os.environ, **_secret(proposal)}
    done = subprocess.run(
        [sys.executable, "-c", _DBT, *command, "--no-use-colors"],
        cwd=settings.project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BuildFailed.because(done.stdout, f"dbt {' '.join(command)}")
    for line in done.stdout.splitlines():
        if "WARN " in line or "Done. PASS" in line:
            console.detail(re.sub(r"^\d\d:\d\d:\d\d\s+", "", line).strip())


def _secret(proposal: Proposal) -> Mapping[str, str]:
    return {secret_variable(proposal.name): str(proposal.table.landing.get("url", ""))}


def train_briefly(name: str, settings: Settings, minutes: float, families: str | None) -> ModelVersion:
    """Train the use case for some minutes."""
    changes: dict[str, object] = {"max_minutes": minutes}
    if families:
        changes["families"] = [family.strip() for family in families.split(",")]
    return train(with_search(load(name), changes), settings)


def show_leaders(name: str, version: ModelVersion, settings: Settings) -> None:
    """Print the best trials of the search, each by its metric."""
    metric = load(name).search.metric
    with tracking(settings) as client:
        table = _leaderboard(client, str(version.run_id))
    rows = [
        [str(row["trial"]), str(row["family"]), _number(row.get(metric)), f"{row['duration_s']:.1f}"]
        for row in table
        if row["status"] == "ok"
    ]
    console.stage(f"Best of {number_of('trial', len(table))}")
    console.table(["trial", "family", metric, "seconds"], rows[:_LEADERS])


def _leaderboard(client: MlflowClient, run: str) -> list[dict[str, object]]:
    from mlflow.artifacts import load_text

    artifact = f"{client.get_run(run).info.artifact_uri}/leaderboard.json"
    table = json.loads(load_text(artifact))
    return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "-"


def next_commands(name: str, version: ModelVersion) -> None:
    """Print the next commands."""
    console.stage("Next commands")
    console.verbatim(
        f"  open the report:    reports/{name}/version-{version.version}.html",
        f"  promote it:         python -m deployment.run promote --use-case {name}",
        f"  serve it:           python -m deployment.run serve --use-case {name} --detach",
        f"  ask it:             python -m deployment.run ask --use-case {name}",
        f"  train longer:       python -m training.run --use-case {name}",
    )
