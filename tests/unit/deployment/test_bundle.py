"""The Databricks bundle: each target is resolved offline, and checked against the API and the project."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from lakehouse.settings import PROJECT, Settings
from resources import requirements
from resources.bundle import BundleRefused, Target, check, resolve, targets
from resources.command import IN_WORKSPACE, run
from training.tracking import experiment_id
from training.use_case.use_case import load_all

TARGETS = {name: resolve(name) for name in targets()}
JOBS: dict[str, dict[str, Any]] = {**TARGETS["prod"].resources["jobs"]}
# They need an extra for their tables or their networks, which the jobs of the bundle do not install.
NEEDS_AN_EXTRA = {
    "recommended_by_meaning",
    "regional_revenue_by_networks",
    "regional_revenue_by_series",
    "water_flow_by_networks",
}
USE_CASES = [use_case.name for use_case in load_all() if use_case.name not in NEEDS_AN_EXTRA]
PARAMETERS = {"{{job.parameters.model_version}}": "7"}  # a number, as the job passes it


def tasks(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for task in job["tasks"]:
        yield task["for_each_task"]["task"] if "for_each_task" in task else task


def commands(target: Target) -> Iterator[list[str]]:
    for job in target.resources["jobs"].values():
        yield from (task["spark_python_task"]["parameters"] for task in tasks(job) if "spark_python_task" in task)


def variables(command: list[str]) -> dict[str, str]:
    """Environment variables that precede the module of a command."""
    pairs = [word.partition("=") for word in command[: next(i for i, word in enumerate(command) if "=" not in word)]]
    return {name: value for name, _, value in pairs}


def settings_of(target: Target) -> Settings:
    (environment,) = {tuple(variables(command).items())[:2] for command in commands(target)}
    return Settings.from_environment(IN_WORKSPACE | dict(environment))


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_has_only_fields_of_the_api(name: str) -> None:
    check(TARGETS[name])


def test_an_unknown_field_or_value_is_refused() -> None:
    target = resolve("prod")
    gold, schedule = target.resources["schemas"]["gold"], target.resources["jobs"]["features"]["schedule"]
    gold["owned_by"] = "me"
    with pytest.raises(BundleRefused, match=r"schemas.gold of target prod .*owned_by = 'me'"):
        check(target)
    del gold["owned_by"]
    schedule["pause_status"] = "paused"
    with pytest.raises(BundleRefused, match=r"jobs.features of target prod .*schedule.pause_status = 'paused'"):
        check(target)


def test_only_production_runs_on_a_schedule() -> None:
    pauses = {
        name: {job["schedule"]["pause_status"] for job in target.resources["jobs"].values() if "schedule" in job}
        for name, target in TARGETS.items()
    }
    assert pauses == {"dev": {"PAUSED"}, "staging": {"PAUSED"}, "prod": {"UNPAUSED"}}


def test_targets_and_developers_share_no_name() -> None:
    deployments = [*TARGETS.values(), resolve("dev", "ben@example.com")]
    named = [set(map(str, names(target))) for target in deployments]
    assert sum(map(len, named)) == len(set.union(*named))


def names(target: Target) -> Iterator[object]:
    """Everything that the jobs of a target write to or replace."""
    settings = settings_of(target)
    yield from (settings.registered_model(use_case) for use_case in USE_CASES)
    yield from (settings.endpoint(use_case.replace("_", "-")) for use_case in USE_CASES)
    yield from (job["name"] for job in target.resources["jobs"].values())
    yield from (experiment["name"] for experiment in target.resources["experiments"].values())
    for schema in target.resources["schemas"].values():
        yield f"{schema['catalog_name']}.{schema['name']}"
    (build,) = [task["dbt_task"] for task in target.resources["jobs"]["features"]["tasks"] if "dbt_task" in task]
    yield f"{build['catalog']}.{build['schema']} of dbt"
    yield build["commands"][0]


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_jobs_use_the_resources_of_their_target(target: Target) -> None:
    settings, resources = settings_of(target), target.resources
    models = [
        f"{each['catalog_name']}.{each['schema_name']}.{each['name']}"
        for each in resources["registered_models"].values()
    ]
    assert models == [settings.registered_model(name) for name in USE_CASES]
    schemas = {each["name"] for each in resources["schemas"].values()}
    declared = ("staging", "gold", "models", "deployment", "monitoring")
    assert schemas == {settings.name_prefix + name for name in declared}
    (build,) = [task["dbt_task"] for task in resources["jobs"]["features"]["tasks"] if "dbt_task" in task]
    given = yaml.safe_load(re.findall(r"--vars '(.*)'", build["commands"][0])[0])
    assert given["name_prefix"] == settings.name_prefix
    volume = resources["volumes"]["landing"]
    assert given["landing"] == f"/Volumes/{volume['catalog_name']}/{volume['schema_name']}/{volume['name']}"
    assert (build["catalog"], build["schema"]) == (settings.catalog, f"{settings.name_prefix}gold")


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_each_use_case_is_trained_in_its_experiment_and_evaluated(target: Target) -> None:
    train, judge = target.resources["jobs"]["training"]["tasks"]
    inputs = json.loads(train["for_each_task"]["inputs"])
    experiments = target.resources["experiments"]
    assert inputs == [{"use_case": name, "experiment": experiments[name]["name"]} for name in USE_CASES]
    assert json.loads(judge["for_each_task"]["inputs"]) == USE_CASES
    declared = {parameter["name"] for parameter in target.resources["jobs"]["deployment"]["parameters"]}
    passed = judge["for_each_task"]["task"]["run_job_task"]["job_parameters"]
    assert set(passed) <= declared


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_traffic_of_each_use_case_is_monitored_every_night(target: Target) -> None:
    job = target.resources["jobs"]["monitoring"]
    (monitor,) = job["tasks"]
    assert json.loads(monitor["for_each_task"]["inputs"]) == USE_CASES
    assert job["schedule"]["quartz_cron_expression"].endswith("* * ?")


def test_production_belongs_to_a_service_principal() -> None:
    for name in ("staging", "prod"):
        configuration = resolve(name, "b0c1-application-id").configuration
        assert configuration["run_as"] == {"service_principal_name": "b0c1-application-id"}
        assert configuration["workspace"]["root_path"].startswith("/Workspace/Users/b0c1-application-id/")
        levels = {each.get("group_name", "owner"): each["level"] for each in configuration["permissions"]}
        assert levels == {"owner": "CAN_MANAGE", "users": "CAN_VIEW"}


@pytest.mark.parametrize("name", JOBS)
def test_tasks_depend_on_earlier_tasks_and_use_declared_environments(name: str) -> None:
    job = JOBS[name]
    environments = {environment["environment_key"] for environment in job["environments"]}
    assert {task["environment_key"] for task in tasks(job) if "run_job_task" not in task} <= environments
    before: set[str] = set()
    for task in job["tasks"]:
        assert {each["task_key"] for each in task.get("depends_on", [])} <= before
        before.add(task["task_key"])


def test_features_refresh_independently_of_training() -> None:
    features, training = JOBS["features"], JOBS["training"]
    assert features["schedule"]["quartz_cron_expression"].endswith("* * ?")  # every day
    assert [task["task_key"] for task in features["tasks"]] == ["build", "publish", "maintain"]
    assert not [task for task in tasks(features) if "run_job_task" in task]
    assert not [task for task in tasks(training) if "dbt_task" in task]


@pytest.mark.parametrize("command", [*commands(TARGETS["prod"])], ids=lambda command: " ".join(command[-4:]))
def test_a_task_is_a_command_of_this_project(command: list[str]) -> None:
    given = variables(command)
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert not [name for name in [*given, *IN_WORKSPACE] if f"`{name}`" not in readme]
    module, *options = (PARAMETERS.get(word, word) for word in command[len(given) :])
    parsed: click.Command = import_module(module).main
    if isinstance(parsed, click.Group):
        parsed = parsed.commands[options.pop(0)]
    parsed.make_context(module, options)  # raises where an option is unknown or missing


def test_files_that_tasks_name_exist() -> None:
    for job in JOBS.values():
        for task in tasks(job):
            if "spark_python_task" in task:
                assert (PROJECT / "resources" / task["spark_python_task"]["python_file"]).is_file()
        for environment in job["environments"]:
            for dependency in environment["spec"]["dependencies"]:
                if dependency.startswith("-r "):
                    assert (PROJECT / "resources" / dependency.removeprefix("-r ")).is_file()


def test_the_tasks_install_what_the_project_declares() -> None:
    assert requirements.FILE.read_text(encoding="utf-8") == requirements.requirements(), "run `make lock`"
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (dbt,) = [each for each in JOBS["features"]["environments"] if each["environment_key"] == "dbt"]
    assert set(dbt["spec"]["dependencies"]) <= set(project["dependencies"])


def test_the_experiment_of_a_job_is_the_one_that_the_variable_names() -> None:
    class Client:
        def get_experiment_by_name(self, name: str) -> Any:
            return type("Experiment", (), {"experiment_id": name})

    client: Any = Client()
    named = Settings.from_environment(IN_WORKSPACE | {"MLFLOW_EXPERIMENT_NAME": "/Users/anna/[dev anna] churn"})
    assert experiment_id(client, named, "churn") == "/Users/anna/[dev anna] churn"
    prefixed = Settings.from_environment(IN_WORKSPACE | {"NAME_PREFIX": "dev_anna_"})
    assert experiment_id(client, prefixed, "churn") == "/Shared/dev_anna_churn"


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


def test_processes_that_a_task_starts_find_the_packages(tmp_path: Path) -> None:
    (tmp_path / "resources").mkdir()
    script = shutil.copy(PROJECT / "resources" / "command.py", tmp_path / "resources")
    (tmp_path / "packages_of_the_job.py").write_text(
        "import subprocess, sys\n"
        "if __name__ == '__main__':\n"
        "    subprocess.run([sys.executable, '-c', 'import packages_of_the_job'], check=True)\n"
    )
    subprocess.run([sys.executable, script, "NAME=value", "packages_of_the_job"], cwd="/", check=True, timeout=60)
