"""The Databricks deployment job, checked offline."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from deployment.commands import manual_actions, promote
from deployment.run import main
from resources.bundle import resolve

JOB: dict[str, Any] = resolve("prod").resources["jobs"]["deployment"]
TASKS: dict[str, dict[str, Any]] = {task["task_key"]: task for task in JOB["tasks"]}
PARAMETERS = {
    "{{job.parameters.use_case}}": "",
    "{{job.parameters.model_name}}": "prod.models.churn",
    "{{job.parameters.model_version}}": "7",
}


def command(task: str) -> tuple[click.Command, dict[str, Any]]:
    """Command of a task, and its parsed options; click rejects unknown options."""
    words = [PARAMETERS.get(word, word) for word in TASKS[task]["spark_python_task"]["parameters"]]
    module = next(index for index, word in enumerate(words) if "=" not in word)
    assert words[module] == "deployment.run"
    name, *arguments = words[module + 1 :]
    parsed = main.commands[name]
    return parsed, parsed.make_context(name, arguments).params


def test_the_job_has_the_parameters_that_mlflow_passes() -> None:
    assert {parameter["name"] for parameter in JOB["parameters"]} == {"use_case", "model_name", "model_version"}
    assert JOB["max_concurrent_runs"] == 1
    defaults = {parameter["name"]: parameter["default"] for parameter in JOB["parameters"]}
    assert (defaults["use_case"], defaults["model_name"]) == (
        "",
        "",
    )  # a default would override the model of a new version


def test_evaluation_approval_and_deployment_follow_each_other() -> None:
    assert list(TASKS) == ["evaluation", "approval", "deployment"]
    after = {key: [each["task_key"] for each in task.get("depends_on", [])] for key, task in TASKS.items()}
    assert after == {"evaluation": [], "approval": ["evaluation"], "deployment": ["approval"]}


def test_each_task_runs_a_command_of_this_project() -> None:
    evaluation, values = command("evaluation")
    assert (evaluation, values["dry_run"], values["version"]) == (main.commands["promote"], True, 7)
    approval, values = command("approval")
    assert (approval, values["by_tag"], values["reason"]) == (main.commands["approve"], True, None)
    promotion, values = command("deployment")
    assert (promotion, values["dry_run"], values["version"]) == (main.commands["promote"], False, 7)


@pytest.fixture
def in_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that the tasks set, for the catalog `prod`."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "databricks")
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    monkeypatch.setenv("DATABRICKS_CATALOG", "prod")


@pytest.mark.usefixtures("in_workspace")
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("use_case", "model", "evaluated"),
    [("", "prod.models.churn", "churn"), ("churn", "", "churn"), ("churn", "prod.models.churn", "churn")],
)
def test_the_model_or_the_use_case_selects_what_is_evaluated(
    monkeypatch: pytest.MonkeyPatch, task: str, use_case: str, model: str, evaluated: str
) -> None:
    names: list[str] = []

    def record(name: str, *_: object, **__: object) -> bool:
        names.append(name)
        return True

    monkeypatch.setattr(promote, "promote", record)
    monkeypatch.setattr(manual_actions, "approve", record)
    result = CliRunner().invoke(main, arguments_of(task, use_case, model))
    assert (result.exit_code, names) == (0, [evaluated]), result.output


@pytest.mark.usefixtures("in_workspace")
@pytest.mark.parametrize(
    ("use_case", "model", "reason"),
    [
        ("churn", "prod.models.term_deposit", "--use-case is churn, but --model is prod.models.term_deposit"),
        ("", "", "pass --use-case or --model"),
        ("", "dev.models.churn", "models of this deployment are named prod.models.USE_CASE"),
        ("churn", "prod.other.churn", "models of this deployment are named prod.models.churn"),
        ("", "churn", "models of this deployment are named prod.models.USE_CASE"),
    ],
)
def test_contradicting_missing_and_foreign_models_are_refused(use_case: str, model: str, reason: str) -> None:
    for task in TASKS:
        result = CliRunner().invoke(main, arguments_of(task, use_case, model))
        assert result.exit_code == 2
        assert reason in result.output


def arguments_of(task: str, use_case: str, model: str) -> list[str]:
    """Arguments of the task after `deployment.run`."""
    values = PARAMETERS | {"{{job.parameters.use_case}}": use_case, "{{job.parameters.model_name}}": model}
    words = TASKS[task]["spark_python_task"]["parameters"]
    return [values.get(word, word) for word in words[words.index("deployment.run") + 1 :]]
