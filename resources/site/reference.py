"""The reference pages of the documentation, written from the code: commands, keys, encodings, criteria, routes."""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click

from deployment.command_line import SECTIONS, long_name, main
from deployment.run import MEANING_OF_EXIT_CODES
from lakehouse.options.choices import OneOf
from lakehouse.wording import format_number
from scoring.encodings import KINDS
from scoring.encodings.encoding import Encoding
from training.use_case.json_schema import describe, schema_text
from training.use_case.promotion import GuardLimits, PromotionCriteria

WORDS = {
    "string": "text",
    "object": "mapping",
    "float": "number",
    "integer range": "integer",
    "float range": "number",
}
WORDS |= {name: name for name in ("text", "integer", "number", "boolean")}
BOUNDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}


def pages() -> dict[str, str]:
    """The text of each page by its path below `reference`."""
    return {
        "commands.md": commands(),
        "use_case.md": use_case_keys(),
        "encodings.md": encodings(),
        "criteria.md": criteria(),
        "routes.md": routes(),
    }


def commands() -> str:
    """Every command, with both of its names, its help and its options."""
    context = click.Context(main, info_name="lakehouse")
    parts = [f"# Commands\n\nEach command has two names with the same options. {MEANING_OF_EXIT_CODES}\n"]
    for section, names in SECTIONS.items():
        parts.append(f"## {section}\n")
        parts += [_command(name, command) for name in names if (command := main.get_command(context, name))]
    return "\n".join(parts)


def _command(name: str, command: click.Command) -> str:
    own = click.Context(command, info_name=f"lakehouse {name}")
    usage = " ".join([f"lakehouse {name}", *command.collect_usage_pieces(own)])
    same = f"\nThe same: `python -m {long}`\n" if (long := long_name(name)) else ""
    lines = [f"### {name}\n", _prose(command.help or ""), f"\n`{usage}`\n{same}"]
    rows = [_option(param, own) for param in command.params if isinstance(param, click.Option) and not param.hidden]
    if rows:
        lines += ["| option | value | meaning |", "|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _option(option: click.Option, context: click.Context) -> str:
    default = option.get_default(context)
    is_shown = not option.is_flag and default not in {None, ()} and "Sentinel" not in repr(default)
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    value = "" if option.is_flag else _value(option, context)
    return _row(names, value, _meaning(option.help or "", option.required, f"`{default}`" if is_shown else ""))


def _value(option: click.Option, context: click.Context) -> str:
    kind = option.type
    if option.metavar is None and isinstance(kind, OneOf):
        return ", ".join(f"`{choice}`" for choice in kind.choices)
    if option.metavar is None and kind.name in WORDS:
        bounds = {"minimum": getattr(kind, "min", None), "maximum": getattr(kind, "max", None)}
        return " ".join([WORDS[kind.name], *_bounds(bounds)])
    return f"`{option.make_metavar(context)}`"


def _meaning(text: str, is_required: bool, default: str) -> str:
    described = f"{_sentence(text).rstrip('.')}." if text else ""
    return " ".join(
        part
        for part in (described, *(["**Required.**"] if is_required else []), default and f"Default: {default}.")
        if part
    )


def use_case_keys() -> str:
    """Every key of a use-case file, from its JSON schema; a section below another has both names."""
    found = json.loads(schema_text())
    sections = _sections(found["properties"], found["$defs"])
    parts = [
        "# Keys of a use case\n\nA use case is one file, `training/use_cases/NAME.yml`. An editor completes and "
        "checks its keys by the [schema](../docs/bring_your_own_data.md) beside it.\n",
        "## Top level\n",
        _keys(found["properties"], found.get("required", []), sections),
    ]
    for definition, path in sections.items():
        content = found["$defs"][definition]
        parts += [f"## {path}\n", str(content.get("description", "")) + "\n"]
        parts.append(_keys(content.get("properties", {}), content.get("required", []), sections))
    return "\n".join(parts)


def _sections(properties: Mapping[str, Any], definitions: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """The path of each definition, in the order of the file."""
    found: dict[str, str] = {}
    for name, each in properties.items():
        for definition in re.findall(r"#/\$defs/(\w+)", json.dumps(each)):
            path = f"{above}.{name}" if above else name
            found.setdefault(definition, path)
            below = _sections(definitions[definition].get("properties", {}), definitions, path)
            found |= {key: value for key, value in below.items() if key not in found}
    return found


def _keys(properties: Mapping[str, Any], required: Sequence[str], sections: Mapping[str, str] | None = None) -> str:
    rows = [
        _row(
            f"`{name}`",
            _type(each, sections or {}),
            _meaning(str(each.get("description", "")), name in required, _default(each)),
        )
        for name, each in properties.items()
    ]
    return "\n".join(["| key | value | meaning |", "|---|---|---|", *rows]) + "\n"


def _type(each: Mapping[str, Any], sections: Mapping[str, str]) -> str:
    if "enum" in each:
        return ", ".join(f"`{value}`" for value in each["enum"])
    if "const" in each:
        return f"`{each['const']}`"
    if "$ref" in each:
        path = sections.get(str(each["$ref"]).rpartition("/")[2], "")
        return f"[{path}](#{path.replace('.', '')})" if path else "section"
    if "anyOf" in each:
        texts = (_type(one, sections) for one in each["anyOf"])
        return " or ".join(text for text in texts if text != "null")
    kind = str(each.get("type", ""))
    if kind == "array" and isinstance(each.get("items"), Mapping):
        kind = _type(each["items"], sections) or "values"
        return f"list of {kind}s" if kind in {"text", "integer", "number"} else f"list of {kind}"
    return " ".join([WORDS.get(kind, kind), *_bounds(each)])


def _bounds(each: Mapping[str, Any]) -> list[str]:
    found = {word: each.get(key) for key, word in BOUNDS.items()}
    return [f"{word} {format_number(value)}" for word, value in found.items() if isinstance(value, int | float)]


def _default(each: Mapping[str, Any]) -> str:
    if each.get("default") is None or isinstance(each["default"], Mapping):
        return ""
    return f"`{json.dumps(each['default']).strip(chr(34))}`" if each["default"] != [] else ""


def encodings() -> str:
    """Every encoding, with its keys."""
    parts = [
        "# Encodings\n\nThe head of a feature table declares how raw columns become feature columns: "
        "[Feature tables](../docs/features.md#encodings).\n"
    ]
    for kind, encoding in KINDS.items():
        parts.append(f"## {kind}\n")
        content = encoding.model_json_schema(by_alias=True)
        for described in (*reversed(encoding.__mro__), encoding):  # the text itself is that of the encoding
            if issubclass(described, Encoding):
                content["description"] = described.__doc__ or ""
                describe(content)
        keys = {name: each for name, each in content["properties"].items() if name != "kind"}
        keys["as"]["description"] = "the kind of encoding"
        parts += [content["description"] + "\n", _keys(keys, content.get("required", []))]
        facts = f"Feature type: {encoding.feature_type}. Value in a request: {encoding.field_kind}."
        parts.append(f"{facts} Macro in SQL: `encode_{kind}`.\n")
    return "\n".join(parts)


def criteria() -> str:
    """Every criterion of the gate."""
    parts = [
        "# Criteria of the gate\n\nKeys of `promotion` in a use case. [Promotion](../docs/promotion.md) describes "
        "the gate, and [its statistics](../docs/promotion.md#the-statistics).\n"
    ]
    definitions = json.loads(schema_text())["$defs"]
    for title, model in (("promotion", PromotionCriteria), ("promotion.guards", GuardLimits)):
        content = definitions[model.__name__]
        parts += [f"## {title}\n", content["description"] + "\n"]
        parts.append(_keys(content["properties"], content.get("required", [])))
    return "\n".join(parts)


def routes() -> str:
    """Every route of the model server, by the module that answers it."""
    parts = [
        "# Routes of the model server\n\nEach endpoint has an OpenAPI document of its own, "
        "`/serving-endpoints/NAME/openapi`. [Serving](../docs/serving.md) describes tokens and limits.\n"
    ]
    by_group: dict[str, list[str]] = {}
    for path, methods, group in _routes():
        by_group.setdefault(group, []).append(_row(f"`{path}`", ", ".join(f"`{each}`" for each in methods)))
    for group, rows in by_group.items():
        title, _, rest = group.partition(":")
        parts += [f"## {title.strip()}\n", *([_sentence(rest.strip()) + ".\n"] if rest.strip() else [])]
        parts += ["| path | methods |", "|---|---|", *sorted(set(rows)), ""]
    return "\n".join(parts)


def _routes() -> Iterator[tuple[str, list[str], str]]:
    import sys

    from deployment.model_server.app import SCORING, create_app
    from deployment.model_server.settings import ServerSettings

    with tempfile.TemporaryDirectory() as folder:
        app: Any = create_app(ServerSettings(Path(folder), Path(folder, "state"), "sqlite://"), load=_never)
    while not hasattr(app, "routes"):
        app = getattr(app, "_router", None) or app._app
    for route in app.routes:
        handler = getattr(route.endpoint, "func", route.endpoint)
        module = getattr(handler, "__module__", "") or ""
        described = cleandoc(sys.modules[module].__doc__ or "") if module.startswith("deployment") else ""
        if route.path in SCORING:
            described = "Scoring requests: predictions for the rows of a request"
        methods = sorted((route.methods or {"GET", "POST"}) - {"HEAD"})
        yield route.path, methods, described.partition("\n")[0].rstrip(".")


def _never(*_: object) -> Any:
    raise AssertionError("no version is loaded for the documentation")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _prose(text: str) -> str:
    return cleandoc(text.replace("\b", ""))


def _row(*cells: str) -> str:
    escaped = (re.sub(r"\s+", " ", cell).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
