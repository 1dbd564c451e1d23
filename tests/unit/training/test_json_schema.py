"""The published schema of use-case files: what the code says, passing every file and refusing what none can say."""

from typing import Any

import jsonschema
import pytest
import yaml

from training.use_case.json_schema import PUBLISHED, published
from training.use_case.use_case import FOLDER

SCHEMA = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
FILES = sorted(FOLDER.glob("*.yml"))


def use_case(**changes: Any) -> dict[str, Any]:
    said: dict[str, Any] = yaml.safe_load((FOLDER / "term_deposit.yml").read_text(encoding="utf-8"))
    return said | {key: said[key] | value if isinstance(value, dict) else value for key, value in changes.items()}


def test_the_file_is_what_the_code_says() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == published(), "Write it again: make schema"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_use_case_points_to_the_schema_and_passes_it(file: Any) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith(f"# yaml-language-server: $schema={PUBLISHED.name}\n")
    jsonschema.validate(yaml.safe_load(text), SCHEMA)


@pytest.mark.parametrize(
    "changes",
    [
        {"serving": {"threshold": {"cost": {"false_positive": 1, "false_negative": 5}}}},
        {
            "search": {
                "space": {"knn": {"neighbours": {"low": 5, "high": 50}}},
                "leave_out": ["age", ["job", "marital"]],
            }
        },
        {"labels": {"entity": ["client_id", "account_id"]}, "split": {"by": "group"}},
    ],
)
def test_every_form_of_a_value_passes(changes: dict[str, Any]) -> None:
    jsonschema.validate(use_case(**changes), SCHEMA)


@pytest.mark.parametrize(
    "changes",
    [
        {"tasks": "binary"},
        {"task": "ranking"},
        {"search": {"families": ["logistic"]}},
        {"search": {"families": []}},
        {"search": {"metric": "auc"}},
        {"search": {"max_evals": 0}},
        {"promotion": {"metric": "auc"}},
        {"promotion": {"confidence": 1}},
        {"promotion": {"guards": {"max_p99": 5}}},
        {"serving": {"threshold": 2}},
        {"serving": {"endpoint": "term deposit"}},
        {"split": {"by": "random"}},
    ],
)
def test_what_no_use_case_can_say_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(use_case(**changes), SCHEMA)


def test_an_editor_shows_what_a_key_means() -> None:
    shown = SCHEMA["$defs"]["SearchPlan"]["properties"]
    assert shown["max_minutes"]["description"] == (
        "after which no trial begins, and none that runs is waited for; in process, the one that runs ends first."
    )
    assert "Attributes" not in PUBLISHED.read_text(encoding="utf-8")
