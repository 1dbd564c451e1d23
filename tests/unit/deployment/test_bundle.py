"""The Databricks jobs, checked offline against the types of the API, the commands and the project."""

import json
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from databricks.sdk.service.jobs import JobSettings

from lakehouse.settings import PROJECT
from resources.command import run
from training.use_case.use_case import load_all

BUNDLE = yaml.safe_load((PROJECT / "databricks.yml").read_text(encoding="utf-8"))
FILES = {file.name: file.read_text(encoding="utf-8") for file in (PROJECT / "resources").glob("*.job.yml")}
JOBS: dict[str, dict[str, Any]] = {
    name: job for text in FILES.values() for name, job in yaml.safe_load(text)["resources"]["jobs"].items()
}

PARAMETERS = {"{{job.parameters.model_version}}": "7"}  # a number, as the job passes it


def tasks(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for task in job["tasks"]:
        yield task["for_each_task"]["task"] if "for_each_task" in task else task


COMMANDS = [
    task["spark_python_task"]["parameters"]
    for job in JOBS.values()
    for task in tasks(job)
    if "spark_python_task" in task
]


@pytest.mark.parametrize("name", JOBS)
def test_a_job_has_only_fields_of_the_jobs_api(name: str) -> None:
    assert JobSettings.from_dict(JOBS[name]).as_dict() == JOBS[name]


@pytest.mark.parametrize("name", JOBS)
def test_tasks_depend_on_earlier_tasks_and_use_declared_environments(name: str) -> None:
    job = JOBS[name]
    environments = {environment["environment_key"] for environment in job["environments"]}
    assert {task["environment_key"] for task in tasks(job) if "run_job_task" not in task} <= environments
    before: set[str] = set()
    for task in job["tasks"]:
        assert {each["task_key"] for each in task.get("depends_on", [])} <= before
        before.add(task["task_key"])


def test_references_of_the_jobs_exist() -> None:
    text = "\n".join(FILES.values())
    assert set(re.findall(r"\$\{var\.(\w+)\}", text)) == set(BUNDLE["variables"])
    assert set(re.findall(r"\$\{resources\.jobs\.(\w+)\.id\}", text)) <= set(JOBS)
    assert BUNDLE["include"] == ["resources/*.job.yml"]
    for name in re.findall(r"python_file: (\S+)|-r (\S+?)\]", text):
        assert (PROJECT / "resources" / "".join(name)).is_file()


def test_features_refresh_independently_of_training() -> None:
    features, training = JOBS["features"], JOBS["training"]
    assert features["schedule"]["quartz_cron_expression"].endswith("* * ?")  # every day
    assert [task["task_key"] for task in features["tasks"]] == ["build", "publish"]
    assert not [task for task in tasks(features) if "run_job_task" in task]
    assert "jobs.features" not in FILES["training.job.yml"]
    assert not [task for task in tasks(training) if "dbt_task" in task]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[-4:]))
def test_a_task_is_a_command_of_this_project(command: list[str]) -> None:
    variables = [argument.partition("=")[0] for argument in command if "=" in argument]
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert not [name for name in variables if f"`{name}`" not in readme]
    module, *options = (PARAMETERS.get(word, word) for word in command[len(variables) :])
    parsed: click.Command = import_module(module).main
    if isinstance(parsed, click.Group):
        parsed = parsed.commands[options.pop(0)]
    parsed.make_context(module, options)  # raises where an option is unknown or missing


def test_every_use_case_is_trained_and_evaluated() -> None:
    known = [use_case.name for use_case in load_all()]
    for task in JOBS["training"]["tasks"]:
        assert json.loads(task["for_each_task"]["inputs"]) == known
    declared = {parameter["name"] for parameter in JOBS["deployment"]["parameters"]}
    passed = [task["run_job_task"]["job_parameters"] for task in tasks(JOBS["training"]) if "run_job_task" in task]
    assert [(set(parameters) - declared, "use_case" in parameters) for parameters in passed] == [(set(), True)]


def test_the_tasks_install_what_the_project_declares() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {*project["dependencies"], *project["optional-dependencies"]["databricks"]}
    lines = (PROJECT / "resources" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {line for line in lines if not line.startswith("#")} <= declared
    (dbt,) = [each for each in JOBS["features"]["environments"] if each["environment_key"] == "dbt"]
    assert set(dbt["spec"]["dependencies"]) <= declared


@pytest.mark.parametrize(("code", "exit_code"), [("0", None), ("None", None), ("3", 3)])
def test_a_command_gets_its_variables_and_fails_with_its_exit_code(
    code: str, exit_code: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some_command.py").write_text(
        f"import os, pathlib, sys\npathlib.Path(sys.argv[1]).write_text(os.environ['SOME_HOME'])\nsys.exit({code})\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SOME_HOME", "laptop")
    monkeypatch.setattr(sys, "argv", [])
    arguments = ["SOME_HOME=a=b", "some_command", str(tmp_path / "output")]
    if exit_code is None:
        run(arguments)
    else:
        with pytest.raises(SystemExit) as exited:
            run(arguments)
        assert exited.value.code == exit_code
    assert (tmp_path / "output").read_text(encoding="utf-8") == "a=b" == os.environ["SOME_HOME"]
