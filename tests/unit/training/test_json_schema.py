"""The published schema of use-case files: matches the code, accepts every file and refuses invalid ones."""

from typing import Any

import jsonschema
import pytest
import yaml

from training.use_case.json_schema import PUBLISHED, schema_text
from training.use_case.use_case import FOLDER

SCHEMA = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
FILES = sorted(FOLDER.glob("*.yml"))


def use_case(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = yaml.safe_load((FOLDER / "term_deposit.yml").read_text(encoding="utf-8"))
    return fields | {key: fields[key] | value if isinstance(value, dict) else value for key, value in changes.items()}


def test_the_file_is_up_to_date() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == schema_text(), "Regenerate it: make schema"


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
def test_every_type_of_a_value_passes(changes: dict[str, Any]) -> None:
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
def test_invalid_use_cases_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(use_case(**changes), SCHEMA)


def test_keys_have_descriptions_for_editors() -> None:
    shown = SCHEMA["$defs"]["SearchPlan"]["properties"]
    assert shown["max_minutes"]["description"] == (
        "time limit of search, stacks, blend, refit and report. Up to two fifths of it are reserved for what follows "
        "the search. Then no trial starts and running trials are abandoned; `in_process` finishes the running one."
    )
    assert "Attributes" not in PUBLISHED.read_text(encoding="utf-8")
