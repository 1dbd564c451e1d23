"""Python and packages against what the project declares."""

from collections.abc import Mapping

import pytest

from deployment.commands.doctor.finding import Severity
from deployment.commands.doctor.versions import check_packages, check_pairs, check_python, declared_requirements
from lakehouse.settings import PROJECT

WORKING = {"pyspark": "4.2.0", "pysail": "0.7.2", "mlflow": "3.17.2", "mlflow-skinny": "3.17.2"}


def errors(findings: list[object]) -> list[str]:
    return [each.message for each in findings if each.severity is Severity.ERROR]  # type: ignore[attr-defined]


def test_this_environment_has_the_declared_versions() -> None:
    python, requirements = declared_requirements(PROJECT)
    found = [*check_python(python), *check_packages(requirements), *check_pairs()]
    assert {each.severity for each in found} == {Severity.OK}


def test_another_python_is_named_with_the_declared_range() -> None:
    (found,) = check_python(">=3.11,<3.13", "3.13.0")
    assert found.message == "Python 3.13.0 runs this command, and the project needs >=3.11,<3.13."
    assert found.remedy == "rm -rf .venv && make PYTHON=python3.11 .venv/.ready"


def test_a_missing_and_an_old_package_are_named_and_extras_are_not() -> None:
    installed: Mapping[str, str] = {"dbt-core": "1.12.0", "click": "8.5.1"}
    declared = ["dbt-core>=1.11,<1.12", "click>=8.3", "lmdb>=1.6", "optuna>=5; extra == 'optuna'"]
    found = check_packages(declared, installed.get)
    assert errors([*found]) == [
        "dbt-core is 1.12.0, and the project needs <1.12,>=1.11.",
        "lmdb is not installed.",
    ]
    assert found[-1].message == "1 of 3 declared packages have a declared version."


def test_without_a_declaration_the_packages_are_unchecked() -> None:
    assert [each.severity for each in check_packages([])] == [Severity.UNCHECKED]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pyspark": "4.3.0"}, "PySpark is 4.3.0, and Sail (pysail 0.7.2) answers clients up to 4.2 only."),
        ({"mlflow-skinny": "3.16.0"}, "mlflow-skinny is 3.16.0 beside mlflow 3.17.2; they must be equal."),
    ],
)
def test_packages_that_do_not_work_together_are_named(changed: dict[str, str], message: str) -> None:
    assert errors([*check_pairs((WORKING | changed).get)]) == [message]
