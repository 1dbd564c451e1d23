"""Criteria changed between two verdicts, also in a file that is in no commit: ledger and verdict say so."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deployment.commands import use_cases
from deployment.gate.gate import Gate
from deployment.model_server.process import server_process
from lakehouse import git
from tests.contract.people import NAME, USE_CASE, Environment, command, mlflow_restored, set_challenger


@pytest.fixture
def declare(environment: Environment, tmp_path: Path) -> Iterator[Path]:
    """Folder of use cases in a new git repository, where the commands run."""
    folder = tmp_path / "project" / "training" / "use_cases"
    folder.mkdir(parents=True)
    write(folder)
    for arguments in (
        ("init", "-q"),
        ("add", "."),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "Declare people"),
    ):
        subprocess.run(["git", *arguments], cwd=tmp_path / "project", check=True)
    with mlflow_restored(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", environment.settings.tracking_uri)
        patch.setenv("LAKEHOUSE_WAREHOUSE", str(environment.warehouse))
        patch.setattr(use_cases, "FOLDER", folder)
        patch.setattr(git, "PROJECT", tmp_path / "project")
        patch.setattr(server_process, "running", lambda _settings: None)
        yield folder


def write(folder: Path, **promotion: object) -> None:
    declared = USE_CASE.model_dump(mode="json", exclude_unset=True)
    declared["promotion"] |= promotion
    (folder / f"{NAME}.yml").write_text(yaml.safe_dump(declared))


def test_criteria_that_were_loosened_in_an_uncommitted_file_show_in_verdict_and_ledger(
    gate: Gate, declare: Path
) -> None:
    for version in (1, 2):
        set_challenger(gate, version)
        assert "Criteria changed" not in command("promote")
    set_challenger(gate, 3)
    refused = "version 2 stays the champion"
    assert refused in command("promote", exits=3)
    write(declare, minimum=0.1, margin=0.9)
    promoted = command("promote")
    assert "Criteria changed since the last verdict: minimum is 0.1, was 0.6" in promoted
    assert "Criteria changed since the last verdict: margin is 0.9, was 0.05" in promoted
    assert "minimum is 0.1, was 0.6" in command("promote", "--explain", "3")
    entries = json.loads(command("history", "--json"))
    assert [entry.get("dirty", False) for entry in entries] == [False, False, False, True]
    assert len({entry["criteria"] for entry in entries[:3]}) == 1
    assert entries[3]["criteria"] != entries[2]["criteria"]
    assert f"{entries[3]['commit'][:7]}-dirty" in command("history")
    run = gate.client.get_model_version(NAME, "3").run_id
    pages = [
        Path(gate.client.download_artifacts(str(run), file.path)).read_text()
        for file in gate.client.list_artifacts(str(run), "promotion")
        if file.path.endswith("html")
    ]
    assert [page.count("<li>minimum is 0.1, was 0.6</li>") for page in pages].count(1) == 1
    assert "the registry matches" in command("verify")
