"""Source of a hook's module: read it, list its packages, and run it as a private module."""

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

BROUGHT_ALONG = frozenset({"lakehouse", "scoring"})  # part of every version


class _OfText(InspectLoader):
    """Loads a module from text; tracebacks show its lines."""

    def __init__(self, source: str) -> None:
        self._source = source

    def get_source(self, fullname: str) -> str:
        return self._source


def source_of(module: str) -> str:
    """The source of an importable module; it is not run.

    Raises:
        ImportError: the module does not exist, or is not Python source.
    """
    spec = find_spec(module)
    if spec is None or not spec.has_location or not str(spec.origin).endswith(".py"):
        raise ImportError(f"no Python module '{module}'")
    return Path(str(spec.origin)).read_text(encoding="utf-8")


def run(module: str, source: str) -> ModuleType:
    """Run the source as a new private module; modules of the same name stay unchanged."""
    private = f"{module}@{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    spec = spec_from_loader(private, _OfText(source))
    if spec is None:  # cannot happen: the loader is given
        raise ImportError(module)
    loaded = module_from_spec(spec)
    sys.modules[private] = loaded  # dataclasses look for their module there
    try:
        spec.loader.exec_module(loaded)  # type: ignore[union-attr]
    except BaseException:
        del sys.modules[private]
        raise
    return loaded


def packages(source: str) -> frozenset[str]:
    """The distributions that a hook's module imports, beyond Python and this project's `scoring` and `lakehouse`.

    Raises:
        ImportError: it imports a module of no distribution, for example a neighbouring file: only the hook's own
            module travels with a version.
    """
    names = {name.partition(".")[0] for name in _imported(ast.parse(source))}
    foreign = names - sys.stdlib_module_names - BROUGHT_ALONG
    known = distributions() if foreign else {}
    if unknown := sorted(name or "a neighbouring module" for name in foreign if name not in known):
        raise ImportError(
            f"it imports {', '.join(unknown)}; a hook is one module and may import only installed packages"
        )
    return frozenset(known[name][0] for name in foreign)


@cache
def distributions() -> Mapping[str, list[str]]:
    """Installed distributions by the packages that they provide."""
    return packages_distributions()


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "" if node.level else str(node.module)
