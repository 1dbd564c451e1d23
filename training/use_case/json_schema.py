"""The JSON schema of use-case files, by which an editor completes and checks them while they are written.

`training/use_cases/schema.json` holds what this module makes of `UseCase`; a file finds it by its first line:

    # yaml-language-server: $schema=schema.json

It knows keys, types, bounds and words. What only several keys together can break is refused when the file is loaded.
"""

import inspect
import json
import re
from typing import Any

from training.use_case.use_case import FOLDER, UseCase

PUBLISHED = FOLDER / "schema.json"


def published() -> str:
    """The schema as the file holds it."""
    schema = UseCase.model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        _describe(part)
    told = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _describe(part: dict[str, Any]) -> None:
    """Move what a docstring says of each attribute to the attribute, where an editor shows it."""
    text, _, attributes = inspect.cleandoc(part.get("description", "")).partition("\n\nAttributes:\n")
    if text:
        part["description"] = " ".join(text.split())
    for name, told in re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", attributes, re.MULTILINE):
        part["properties"][name]["description"] = " ".join(told.split())


def main() -> None:
    """Write the file."""
    PUBLISHED.write_text(published(), encoding="utf-8")


if __name__ == "__main__":
    main()
