"""The shape of the code and the length of the sentences, in figures.

`python -m benchmarks.code_shape --root FOLDER` measures another checkout, so that two states can be compared.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

import click
import numpy as np

from lakehouse import console
from lakehouse.settings import PROJECT

PACKAGES = ("lakehouse", "scoring", "training", "deployment", "simulation")
CLAUSE = re.compile(r"(What|Whether|Which|Of|Where|How|From which|That)\b")
TASKS = r"[\"'](?:binary|multiclass|regression)[\"']"
ENCODINGS = re.compile(r"isinstance\([^)]*\b(?:OneHot|Ordinal|CategoryIndex|Cohort|Number|Flag|Categorical)\b")
TASK_NAMES = re.compile(rf"(?:==|!=|\bin) *[({{]?{TASKS}|{TASKS} *:")
HOMES = re.compile(r"== *[\"']databricks[\"']")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One module: its dotted name, path and source."""

    name: str
    path: Path
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed source."""
        return ast.parse(self.source)

    @property
    def lines(self) -> int:
        """Lines of the source."""
        return self.source.count("\n")

    @property
    def folder(self) -> str:
        """The folder, relative to the root of the checkout."""
        return self.name.rpartition(".")[0].replace(".", "/") if self.path.name != "__init__.py" else ""

    def functions(self) -> Iterator[Function]:
        """Every function and method."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def docstrings(self) -> Iterator[str]:
        """Docstrings of the module, its classes and functions."""
        described = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        nodes = (node for node in ast.walk(self.tree) if isinstance(node, described))
        return (text for node in nodes if (text := ast.get_docstring(node)))

    def public_types(self) -> Iterator[str]:
        """Classes and type aliases of the module whose names have no underscore."""
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield node.name
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                if name[0].isupper() and not name.isupper():
                    yield name


def modules(root: Path) -> list[Module]:
    """The modules of the packages below the root of a checkout."""
    paths = (path for package in PACKAGES for path in sorted((root / package).rglob("*.py")))
    return [Module(_dotted(path.relative_to(root)), path, path.read_text(encoding="utf-8")) for path in paths]


def _dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def circle(found: Sequence[Module]) -> list[str]:
    """A circle of imports between modules, imports inside functions included; empty if there is none."""
    names = {module.name for module in found}
    graph = {module.name: set(_imported(module, names)) - {module.name} for module in found}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as err:
        return list(err.args[1])
    return []


def _imported(module: Module, names: set[str]) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = (f"{node.module}.{alias.name}" for alias in node.names)
            targets = (name if name in names else node.module for name in inner)
            yield from (name for name in targets if name in names)


def shared_names(named: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Names that stand in more than one place, with the places; from pairs of name and place.

    >>> shared_names([("Row", "a"), ("Key", "a"), ("Row", "b")])
    {'Row': ['a', 'b']}
    """
    places: dict[str, list[str]] = defaultdict(list)
    for name, place in named:
        places[name].append(place)
    return {name: where for name, where in sorted(places.items()) if len(where) > 1}


def shared_types(found: Sequence[Module]) -> dict[str, list[str]]:
    """Public types of one name in several modules."""
    return shared_names((name, module.name) for module in found for name in module.public_types())


def modules_per_folder(found: Sequence[Module]) -> dict[str, int]:
    """Modules of each folder, `__init__.py` aside; the fullest folder first."""
    counts: dict[str, int] = defaultdict(int)
    for module in found:
        if module.folder:
            counts[module.folder] += 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def clause_openers(found: Sequence[Module]) -> list[str]:
    """Docstrings that open with a clause instead of a noun or a verb: module and first line."""
    return [
        f"{module.name}: {text.splitlines()[0]}"
        for module in found
        for text in module.docstrings()
        if CLAUSE.match(text)
    ]


def sentences(page: str) -> list[str]:
    """The sentences of a Markdown page: code, tables, headings and links' targets aside.

    >>> sentences("# Title\\n\\nOne `a.b` here. Two\\nlines.\\n\\n| a. | b. |\\n")
    ['One code here.', 'Two lines.']
    """
    text = re.sub(r"^```.*?^```", "\\n\\n", page, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`]*`", "code", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    text = re.sub(r"^(#|\|).*$", "\\n", text, flags=re.MULTILINE)
    paragraphs = re.split(r"\\n\s*\\n|^\s*(?:[-*]|\d+\.) ", text, flags=re.MULTILINE)
    joined = (" ".join(paragraph.split()) for paragraph in paragraphs)
    return [each for paragraph in joined for each in re.split(r"(?<=[.!?:;]) +(?=[A-Z(\[*])", paragraph) if each]


def words_per_sentence(pages: Iterable[Path]) -> list[int]:
    """Words of each sentence of the pages."""
    return [len(sentence.split()) for page in pages for sentence in sentences(page.read_text(encoding="utf-8"))]


def _occurrences(found: Sequence[Module], pattern: re.Pattern[str]) -> str:
    hits = {module.name: len(pattern.findall(module.source)) for module in found}
    return f"{sum(hits.values())} in {sum(count > 0 for count in hits.values())} modules"


def _spread(values: Sequence[float]) -> str:
    return f"median {median(values):g}, 90th percentile {np.percentile(values, 90):g}, largest {max(values):g}"


def figures(root: Path) -> Mapping[str, str]:
    """The figures of a checkout, each by its name."""
    found = modules(root)
    folders, types = modules_per_folder(found), shared_types(found)
    lengths = [(node.end_lineno or node.lineno) - node.lineno + 1 for module in found for node in module.functions()]
    docstrings = sum(1 for module in found for _ in module.docstrings())
    openers = len(clause_openers(found))
    fullest = ", ".join(f"{folder} {count}" for folder, count in list(folders.items())[:3])
    prose: Mapping[str, Callable[[], Iterable[Path]]] = {
        "README": lambda: [root / "README.md"],
        "docs": lambda: sorted((root / "docs").rglob("*.md")),
    }
    return {
        "modules": f"{len(found)} in {len(folders)} folders",
        "modules per folder": f"{_spread(list(folders.values()))} ({fullest})",
        "circle of imports": " -> ".join(circle(found)) or "none",
        "lines of a module": _spread([module.lines for module in found if module.folder]),
        "lines of a function": _spread(lengths),
        "public types of one name": f"{len(types)} ({', '.join(types)})" if types else "none",
        "docstrings that open with a clause": f"{openers} of {docstrings} ({openers / docstrings:.0%})",
        "isinstance over encodings": _occurrences(found, ENCODINGS),
        "comparisons with task names": _occurrences(found, TASK_NAMES),
        'comparisons with "databricks"': _occurrences(found, HOMES),
        **{f"words of a sentence, {name}": _spread(words_per_sentence(pages())) for name, pages in prose.items()},
    }


@click.command()
@click.option("--root", type=click.Path(exists=True, file_okay=False, path_type=Path), default=PROJECT)
@click.option("--details", is_flag=True, help="List the shared names and the docstrings too.")
def main(root: Path, *, details: bool) -> None:
    """Measure the shape of the code below a checkout's root."""
    console.stage("The shape of the code")
    console.table(["figure", "value"], [list(pair) for pair in figures(root).items()])
    if details:
        found = modules(root)
        for name, places in shared_types(found).items():
            console.detail(f"{name}: {', '.join(places)}")
        for opener in clause_openers(found):
            console.detail(opener)


if __name__ == "__main__":
    console.run_command(main)
