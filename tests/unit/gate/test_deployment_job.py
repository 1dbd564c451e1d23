"""The deployment job of Databricks, as far as it can be checked without a workspace."""

from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner
from databricks.sdk.service.jobs import JobSettings

from deployment.commands import overrides, promote
from deployment.run import main
from lakehouse.settings import PROJECT

TEXT = (PROJECT / "resources" / "deployment.job.yml").read_text(encoding="utf-8")
JOB: dict[str, Any] = yaml.safe_load(TEXT)["resources"]["jobs"]["deployment"]
TASKS: dict[str, dict[str, Any]] = {task["task_key"]: task for task in JOB["tasks"]}
GIVEN = {
    "{{job.parameters.use_case}}": "",
    "{{job.parameters.model_name}}": "main.models.churn",
    "{{job.parameters.model_version}}": "7",
}


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
    defaults = {parameter["name"]: parameter["default"] for parameter in JOB["parameters"]}
    assert (defaults["use_case"], defaults["model_name"]) == ("", "")  # or a new version of one would judge another


def test_evaluation_approval_and_deployment_follow_each_other() -> None:
    assert list(TASKS) == ["evaluation", "approval", "deployment"]
    after = {key: [each["task_key"] for each in task.get("depends_on", [])] for key, task in TASKS.items()}
    assert after == {"evaluation": [], "approval": ["evaluation"], "deployment": ["approval"]}


def test_each_task_is_a_command_of_this_project() -> None:
    evaluated, told = command("evaluation")
    assert (evaluated, told["dry_run"], told["version"]) == (main.commands["promote"], True, 7)
    approved, told = command("approval")
    assert (approved, told["by_tag"], told["reason"]) == (main.commands["approve"], True, None)
    promoted, told = command("deployment")
    assert (promoted, told["dry_run"], told["version"]) == (main.commands["promote"], False, 7)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("use_case", "model", "judged"),
    [("", "main.models.churn", "churn"), ("churn", "", "churn"), ("churn", "main.models.churn", "churn")],
)
def test_a_new_version_of_a_model_is_judged_as_that_models(
    monkeypatch: pytest.MonkeyPatch, task: str, use_case: str, model: str, judged: str
) -> None:
    asked: list[str] = []

    def note(name: str, *_: object, **__: object) -> bool:
        asked.append(name)
        return True

    monkeypatch.setattr(promote, "promote", note)
    monkeypatch.setattr(overrides, "approve", note)
    result = CliRunner().invoke(main, words(task, use_case, model))
    assert (result.exit_code, asked) == (0, [judged]), result.output


@pytest.mark.parametrize(("use_case", "model"), [("churn", "main.models.term_deposit"), ("", "")])
def test_a_job_that_names_two_use_cases_or_none_is_refused(use_case: str, model: str) -> None:
    for task in TASKS:
        assert CliRunner().invoke(main, words(task, use_case, model)).exit_code == 2


def words(task: str, use_case: str, model: str) -> list[str]:
    """What the task says after `deployment.run`."""
    given = GIVEN | {"{{job.parameters.use_case}}": use_case, "{{job.parameters.model_name}}": model}
    said = TASKS[task]["spark_python_task"]["parameters"]
    return [given.get(word, word) for word in said[said.index("deployment.run") + 1 :]]


def test_the_tasks_run_in_the_environment_that_the_job_declares() -> None:
    declared = {each["environment_key"] for each in JOB["environments"]}
    for task in TASKS.values():
        assert task["environment_key"] in declared
        assert "FEATURE_STORE=databricks" in task["spark_python_task"]["parameters"]
