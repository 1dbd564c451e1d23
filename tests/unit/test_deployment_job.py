"""The deployment job of Databricks, as far as it can be checked without a workspace."""

from typing import Any

import click
import yaml
from databricks.sdk.service.jobs import JobSettings

from deployment.run import main
from lakehouse.settings import PROJECT

TEXT = (PROJECT / "resources" / "deployment.job.yml").read_text(encoding="utf-8")
JOB: dict[str, Any] = yaml.safe_load(TEXT)["resources"]["jobs"]["deployment"]
TASKS: dict[str, dict[str, Any]] = {task["task_key"]: task for task in JOB["tasks"]}
GIVEN = {"{{job.parameters.use_case}}": "churn", "{{job.parameters.model_version}}": "7"}


def command(task: str) -> tuple[click.Command, dict[str, Any]]:
    """The command of a task and what it is told; click refuses options that it does not have."""
    said = [GIVEN.get(word, word) for word in TASKS[task]["spark_python_task"]["parameters"]]
    module = next(place for place, word in enumerate(said) if "=" not in word)
    assert said[module] == "deployment.run"
    name, *arguments = said[module + 1 :]
    found = main.commands[name]
    return found, found.make_context(name, arguments).params


def test_it_says_what_the_api_knows_and_nothing_else() -> None:
    assert JobSettings.from_dict(JOB).as_dict() == JOB


def test_it_takes_what_a_deployment_job_of_mlflow_is_given() -> None:
    assert {parameter["name"] for parameter in JOB["parameters"]} == {"use_case", "model_name", "model_version"}
    assert JOB["max_concurrent_runs"] == 1


def test_evaluation_approval_and_deployment_follow_each_other() -> None:
    assert list(TASKS) == ["evaluation", "approval", "deployment"]
    after = {key: [each["task_key"] for each in task.get("depends_on", [])] for key, task in TASKS.items()}
    assert after == {"evaluation": [], "approval": ["evaluation"], "deployment": ["approval"]}


def test_each_task_is_a_command_of_this_project() -> None:
    evaluated, told = command("evaluation")
    assert (evaluated, told["dry_run"], told["version"], told["name"]) == (main.commands["promote"], True, 7, "churn")
    approved, told = command("approval")
    assert (approved, told["by_tag"], told["reason"]) == (main.commands["approve"], True, None)
    promoted, told = command("deployment")
    assert (promoted, told["dry_run"], told["version"]) == (main.commands["promote"], False, 7)


def test_the_tasks_run_in_the_environment_that_the_job_declares() -> None:
    declared = {each["environment_key"] for each in JOB["environments"]}
    for task in TASKS.values():
        assert task["environment_key"] in declared
        assert "FEATURE_STORE=databricks" in task["spark_python_task"]["parameters"]
