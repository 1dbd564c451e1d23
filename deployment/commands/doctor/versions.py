"""Python and the installed packages, against what the project declares."""

import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from deployment.commands.doctor.finding import Finding, FindingArea

PROJECT_NAME = "lakehouse-ml"
INSTALL = "make .venv/.ready"
NEWEST_SPARK_OF_SAIL = (4, 2)
_PYTHON, _PACKAGES = FindingArea("Python"), FindingArea("packages")
InstalledVersion = Callable[[str], str | None]


def installed_version(package: str) -> str | None:
    """Version of an installed package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def declared_requirements(project: Path) -> tuple[str, Sequence[str]]:
    """Python versions and requirements that the project declares; both empty if it declares none here."""
    if (file := project / "pyproject.toml").is_file():
        declared = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
        if declared.get("name") == PROJECT_NAME:
            return declared["requires-python"], declared["dependencies"]
    try:
        about = metadata.metadata(PROJECT_NAME)
    except metadata.PackageNotFoundError:
        return "", []
    return about["Requires-Python"] or "", about.get_all("Requires-Dist") or []


def check_python(required: str, version: str = ".".join(map(str, sys.version_info[:3]))) -> list[Finding]:
    """The interpreter against `requires-python`."""
    if not required or SpecifierSet(required).contains(version):
        return [_PYTHON.ok(f"Python {version} runs this command.")]
    return [
        _PYTHON.error(
            f"Python {version} runs this command, and the project needs {required}.",
            "rm -rf .venv && make PYTHON=python3.11 .venv/.ready",
        )
    ]


def check_packages(requirements: Sequence[str], version_of: InstalledVersion = installed_version) -> list[Finding]:
    """Each declared package against the installed version; extras are not checked."""
    if not requirements:
        return [
            _PACKAGES.unchecked(
                f"The package {PROJECT_NAME} is not installed here, so that its requirements are unknown.",
                "pip install lakehouse-ml",
            )
        ]
    problems, met = list[Finding](), 0
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = version_of(requirement.name)
        if version is None:
            problems.append(_PACKAGES.error(f"{requirement.name} is not installed.", INSTALL))
        elif not requirement.specifier.contains(version, prereleases=True):
            needed = requirement.specifier
            problems.append(
                _PACKAGES.error(f"{requirement.name} is {version}, and the project needs {needed}.", INSTALL)
            )
        else:
            met += 1
    return [*problems, _PACKAGES.ok(f"{met} of {met + len(problems)} declared packages have a declared version.")]


def check_pairs(version_of: InstalledVersion = installed_version) -> list[Finding]:
    """Packages that work only in certain pairs: Sail and PySpark, Delta and PySpark, the parts of MLflow."""
    problems = list(_pairs(version_of))
    if problems:
        return problems
    named = [f"{name} {version_of(name)}" for name in ("pyspark", "pysail", "mlflow") if version_of(name)]
    return [_PACKAGES.ok(f"{', '.join(named)} work together.")]


def _pairs(version_of: InstalledVersion) -> Iterator[Finding]:
    spark, sail, delta = version_of("pyspark"), version_of("pysail"), version_of("delta-spark")
    if spark and sail and _release(spark) > NEWEST_SPARK_OF_SAIL:
        message = f"PySpark is {spark}, and Sail (pysail {sail}) answers clients up to 4.2 only."
        yield _PACKAGES.error(message, INSTALL)
    if spark and delta and (needed := _required_by("delta-spark", "pyspark")) and spark not in needed:
        yield _PACKAGES.error(f"PySpark is {spark}, and Delta (delta-spark {delta}) needs {needed}.", INSTALL)
    mlflow = version_of("mlflow")
    for part in ("mlflow-skinny", "mlflow-tracing"):
        if mlflow and (version := version_of(part)) and version != mlflow:
            yield _PACKAGES.error(f"{part} is {version} beside mlflow {mlflow}; they must be equal.", INSTALL)


def _required_by(package: str, needed: str) -> SpecifierSet | None:
    try:
        lines = metadata.requires(package) or []
    except metadata.PackageNotFoundError:
        return None
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.name == needed:
            return requirement.specifier
    return None


def _release(version: str) -> tuple[int, int]:
    numbers = re.findall(r"\d+", version)
    return int(numbers[0]), int(numbers[1])
