"""YAML of use-case files, without the values that YAML reads as something else than the words that stand there."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

# YAML reads these as truth, and every one is a word, a code or an abbreviation too: Norway, the state of Oregon.
_WORDS = re.compile(r"yes|no|on|off", re.IGNORECASE)
_PLAIN_INTEGER = re.compile(r"-?(0|[1-9]\d*)")
_PLAIN_FRACTION = re.compile(r"-?(0|[1-9]\d*)?\.\d*([eE][-+]?\d+)?|[-+]?\.(inf|nan)", re.IGNORECASE)
_EXPONENT = re.compile(r"-?(0|[1-9]\d*)(\.\d*)?[eE][-+]?\d+")


class AmbiguousYaml(yaml.YAMLError):
    """Values of a file that are not what they look like.

    Attributes:
        problems: each value, its line, and how to write it.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class _Loader(yaml.SafeLoader):
    """A loader that refuses duplicate keys, of which YAML keeps the last, and reads 1e-05 as JSON does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        if duplicates := {key for key in keys if keys.count(key) > 1}:
            raise yaml.YAMLError(f"duplicate keys: {sorted(duplicates)}")
        return super().construct_mapping(node, deep)


# YAML 1.1 wants a dot and a sign in the exponent, and reads the numbers that Python and JSON write as texts.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(f"^(?:{_EXPONENT.pattern})$"), list("-0123456789")
)


def read_yaml(text: str) -> Any:
    """Content of a YAML file, if no value is ambiguous.

    >>> read_yaml("classes: ['NO', DE, 10115, 1e-05]")
    {'classes': ['NO', 'DE', 10115, 1e-05]}

    Raises:
        AmbiguousYaml: a value without quotes is read as something else than it looks like.
        YAMLError: the text is not YAML, or has a key twice.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if problems := [_problem(loader, scalar) for scalar in _scalars(node, set()) if _is_ambiguous(scalar)]:
            raise AmbiguousYaml(problems)
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _scalars(node: yaml.Node | None, seen: set[int]) -> Iterator[yaml.ScalarNode]:
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item, seen)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(key, seen)
            yield from _scalars(value, seen)


def _is_ambiguous(scalar: yaml.ScalarNode) -> bool:
    if scalar.style is not None:
        return False  # in quotes
    kind, text = scalar.tag.rpartition(":")[2], scalar.value
    if kind == "bool":
        return _WORDS.fullmatch(text) is not None
    if kind == "int":
        return _PLAIN_INTEGER.fullmatch(text) is None
    if kind == "float":
        return _PLAIN_FRACTION.fullmatch(text) is None and _EXPONENT.fullmatch(text) is None
    return kind in {"timestamp", "value"}


def _problem(loader: _Loader, scalar: yaml.ScalarNode) -> str:
    text, line = scalar.value, scalar.start_mark.line + 1
    if scalar.tag.endswith(":value"):
        return f"line {line}: YAML has a meaning of its own for {text}. Put it in quotes: '{text}'"
    try:
        value = loader.construct_object(scalar)
    except ValueError:
        return f"line {line}: YAML cannot read {text}. Put it in quotes: '{text}'"
    if not isinstance(value, bool | int | float):
        return f"line {line}: YAML reads {text} as a {type(value).__name__}. Put it in quotes: '{text}'"
    written = str(value).lower()
    return f"line {line}: YAML reads {text} as {written}. Put it in quotes: '{text}', or write {written}"
