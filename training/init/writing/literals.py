"""Values as they stand in YAML and in Jinja."""

import json
import re
from typing import Any

import yaml

_EXPONENT = re.compile(r"-?\d+(\.\d*)?[eE][-+]?\d+")


def yaml_value(value: Any) -> str:
    """A value in flow style, in quotes where YAML would read it as something else.

    >>> yaml_value("no"), yaml_value("an oak"), yaml_value(["a", 1.5]), yaml_value("1e5"), yaml_value({"a": None})
    ("'no'", 'an oak', '[a, 1.5]', '"1e5"', '{a: null}')
    """
    if isinstance(value, str) and (_EXPONENT.fullmatch(value) or "\n" in value):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(yaml_value, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{yaml_value(key)}: {yaml_value(each)}" for key, each in value.items()) + "}"
    dumped = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=10_000)
    return dumped.strip()[1:-1]


def jinja_value(value: Any) -> str:
    """A value of a Jinja expression.

    >>> jinja_value("Köln"), jinja_value("Bachelor's"), jinja_value(("a", "b")), jinja_value(2.5)
    ("'Köln'", '"Bachelor\\'s"', "['a', 'b']", '2.5')
    """
    if isinstance(value, str):
        return f"'{value}'" if not set(value) & set("'\\\n{}%#") else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(jinja_value, value))}]"
    return repr(value)


def wrapped(items: list[str], indent: int, width: int = 110) -> str:
    """A flow list over several lines, as the YAML of a model has its columns.

    >>> print(wrapped(["a", "b"], 4))
    [a, b]
    """
    lines, line = [], ""
    for item in items:
        piece = f"{item}, "
        if line and indent + len(line) + len(piece) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece
    lines.append(line.rstrip(", "))
    return "[" + ("\n" + " " * (indent + 1)).join(lines) + "]"
