"""The source of a hook's module: found, examined, and run in a module of its own."""

import ast
import hashlib
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.abc import InspectLoader
from importlib.metadata import packages_distributions
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

BROUGHT_ALONG = frozenset({"lakehouse", "scoring"})  # every version has them


class _OfText(InspectLoader):
    """Runs a text as a module; tracebacks show its lines."""

    def __init__(self, source: str) -> None:
        self._source = source

    def get_source(self, fullname: str) -> str:
        return self._source


def source_of(module: str) -> str:
    """The text of a module that could be imported; it is not run.

    Raises:
        ImportError: there is none, or it is not Python's.
    """
    spec = find_spec(module)
    if spec is None or not spec.has_location or not str(spec.origin).endswith(".py"):
        raise ImportError(f"there is no Python module '{module}'")
    return Path(str(spec.origin)).read_text(encoding="utf-8")


def run(module: str, source: str) -> ModuleType:
    """A new module made of the source; others of its name stay as they are."""
    private = f"{module}@{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    spec = spec_from_loader(private, _OfText(source))
    if spec is None:  # no loader, which is given
        raise ImportError(module)
    made = module_from_spec(spec)
    sys.modules[private] = made  # dataclasses look for their module there
    try:
        spec.loader.exec_module(made)  # type: ignore[union-attr]
    except BaseException:
        del sys.modules[private]
        raise
    return made


def packages(source: str) -> frozenset[str]:
    """The distributions that a hook's module imports, beyond Python and this project's `scoring` and `lakehouse`.

    Raises:
        ImportError: it imports what no distribution has, as a module beside it: a version brings one module along.
    """
    names = {name.partition(".")[0] for name in _imported(ast.parse(source))}
    foreign = names - sys.stdlib_module_names - BROUGHT_ALONG
    known = distributions() if foreign else {}
    if unknown := sorted(name or "a module beside it" for name in foreign if name not in known):
        raise ImportError(f"it imports {', '.join(unknown)}; a hook is one module, on Python and installed packages")
    return frozenset(known[name][0] for name in foreign)


@cache
def distributions() -> Mapping[str, list[str]]:
    """The installed distributions by what they let one import."""
    return packages_distributions()


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "" if node.level else str(node.module)
