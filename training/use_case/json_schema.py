"""The JSON schema of use-case files, for completion and checks in an editor.

`training/use_cases/schema.json` is generated from `UseCase`. A use-case file refers to it in its first line:

    # yaml-language-server: $schema=schema.json

It covers keys, types, bounds and allowed words. Rules over several keys are checked when the file is loaded.
"""

import inspect
import json
import re
from typing import Any

from lakehouse.whole_files import replace_file
from training.use_case.use_case import FOLDER, UseCase

PUBLISHED = FOLDER / "schema.json"


def schema_text() -> str:
    """Text of the schema file."""
    schema = UseCase.model_json_schema()
    for declaration in (schema, *schema["$defs"].values()):
        describe(declaration)
    complete = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(complete, indent=2, ensure_ascii=False) + "\n"


def describe(declaration: dict[str, Any]) -> None:
    """Move the docstring of each attribute to the attribute, where an editor shows it."""
    text, _, attributes = inspect.cleandoc(declaration.get("description", "")).partition("\n\nAttributes:\n")
    if text:
        declaration["description"] = " ".join(text.split())
    for names, description in re.findall(r"^ {4}(\w+(?:, \w+)*): (.*(?:\n {8}.*)*)", attributes, re.MULTILINE):
        for name in names.split(", "):
            if name in declaration["properties"]:
                declaration["properties"][name]["description"] = " ".join(description.split())


def main() -> None:
    """Write the schema file."""
    replace_file(PUBLISHED, schema_text())


if __name__ == "__main__":
    main()
