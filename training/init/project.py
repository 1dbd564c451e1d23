"""A small project around a first use case, in a folder that has none."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from lakehouse.settings import PACKAGES
from training.init.errors import InitRefused
from training.init.names import use_case_name
from training.use_case.json_schema import schema_text

DISTRIBUTION = "lakehouse-ml"
_TEMPLATES = Path(__file__).with_name("project_files")
_PLACES = {
    "dbt_project.yml": "dbt_project.yml",
    "Makefile": "Makefile",
    "README.md": "README.md",
    "ci.yml": ".github/workflows/ci.yml",
    "gitignore": ".gitignore",
}
# The same files as in the checkout; a wheel has them beside the templates.
_SHARED = ("profiles.yml", "dbt_project/macros", "dbt_project/data_tests")


def project_files(project: Path, use_case: str) -> Mapping[str, str]:
    """Files of a new project by path; none if the folder is a project already.

    Raises:
        InitRefused: the folder holds something else than a project of this kind.
    """
    if (project / "dbt_project.yml").exists():
        if not (project / "dbt_project" / "macros" / "landing_file.sql").exists():
            raise InitRefused.file(
                project,
                "is a dbt project without the macros of lakehouse-ml",
                "Run the command in an empty folder, or in a project that it made.",
            )
        return {}
    files = dict(_files(project.resolve().name, use_case))
    if there := sorted(path for path in files if (project / path).exists()):
        raise InitRefused.file(
            project,
            f"is no project, and has {', '.join(there[:3])} already",
            "Run the command in an empty folder; it makes a project there.",
        )
    return files


def _files(folder: str, use_case: str) -> Iterator[tuple[str, str]]:
    name = use_case_name(folder)
    for template, place in _PLACES.items():
        text = (_TEMPLATES / template).read_text(encoding="utf-8")
        yield place, text.replace("PROJECT_NAME", name).replace("USE_CASE_NAME", use_case)
    for shared in _SHARED:
        source = _TEMPLATES / Path(shared).name
        source = source if source.exists() else PACKAGES / shared
        for file in sorted(source.rglob("*.*")) if source.is_dir() else [source]:
            below = file.relative_to(source)
            yield str(Path(shared) / below) if source.is_dir() else shared, file.read_text(encoding="utf-8")
    yield "requirements.txt", f"{DISTRIBUTION}=={version(DISTRIBUTION)}\n"
    yield "training/use_cases/schema.json", schema_text()
    yield "dbt_project/feature_tables.json", "{}\n"  # no promises yet
