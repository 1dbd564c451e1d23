"""An interpreter that finds the packages of a list of requirements, what those need in turn, and nothing else."""

import os
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement


def build(folder: Path, requirements: Iterable[str]) -> Path:
    """A folder of packages as an installer would fill it, by links to the versions at hand: no index is asked."""
    for found in _closure(requirements):
        for file in found.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                _link(Path(str(found.locate_file(file))), folder / file)
    return folder


def run(packages: Path, script: str, *arguments: str, cwd: Path) -> str:
    """What a script prints in a fresh interpreter whose packages are those in the folder."""
    # -I: no variables, no working directory; -S: no packages of this environment.
    start = "import sys; sys.path.append(sys.argv.pop(1)); exec(sys.argv.pop(1))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", start, str(packages), script, *arguments],
        cwd=cwd, env={"PATH": os.environ["PATH"], "HOME": str(cwd)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _link(source: Path, link: Path) -> None:
    if not link.parent.exists():
        link.parent.mkdir(parents=True)
        if (compiled := source.parent / "__pycache__").exists():
            (link.parent / "__pycache__").symlink_to(compiled)
    if not link.exists():  # two distributions may bring the same file
        link.symlink_to(source)


def _closure(requirements: Iterable[str]) -> list[Distribution]:
    """The distributions of the requirements, and of what they require."""
    found: dict[str, Distribution] = {}
    waiting = [(Requirement(line), "") for line in requirements]
    while waiting:
        wanted, asked = waiting.pop()
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": asked}):
            continue
        it = distribution(wanted.name)
        assert wanted.specifier.contains(it.version, prereleases=True), (
            f"{wanted} is wanted, and {it.version} is here"
        )
        name = it.metadata["Name"]
        for extra in ("", *wanted.extras):
            if f"{name}[{extra}]" not in found:
                found[f"{name}[{extra}]"] = it
                waiting += [(Requirement(line), extra) for line in it.requires or ()]
    return list({it.metadata["Name"]: it for it in found.values()}.values())
