"""The wheel holds the packages and dbt's adapter, and works in a folder that is no checkout."""

import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lakehouse.settings import PROJECT
from tests.ports import free_port

DBT_PROJECT = {
    "dbt_project.yml": "name: starter\nprofile: starter\n",
    "profiles.yml": "starter: {target: dev, outputs: {dev: {type: embedded, schema: gold, warehouse: warehouse}}}\n",
    "models/numbers.sql": "{{ config(materialized='table') }} select 1 as number\n",
}
# As the script that an installer writes for the entry point.
START = (
    "import sys\nfrom importlib.metadata import entry_points\nsys.argv[0] = 'lakehouse'\n"
    "(script,) = {each.value: each for each in entry_points(group='console_scripts', name='lakehouse')}.values()\n"
    "script.load()()"
)


@dataclass(frozen=True)
class Installed:
    """A fresh environment with the wheel, and an empty folder in which its commands run."""

    wheel: Path
    binaries: Path
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def run(self, *command: str) -> str:
        program = self.binaries / command[0]
        result = subprocess.run(
            [program, *command[1:]],
            cwd=self.folder,
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout


def version_of_project() -> str:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    root = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(root / "dist")]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True, timeout=120)
    (wheel,) = (root / "dist").glob("*.whl")
    venv.create(root / "venv", with_pip=False, symlinks=True)
    (site,) = (root / "venv" / "lib").glob("python*/site-packages")
    # The dependencies of this environment, without the checkout that it has installed in place.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    dbt = root / "venv" / "bin" / "dbt"
    dbt.write_text(f"#!{root / 'venv' / 'bin' / 'python'}\nfrom dbt.cli.main import cli\ncli()\n", encoding="utf-8")
    dbt.chmod(0o755)
    folder = root / "empty"
    folder.mkdir()
    return Installed(wheel, root / "venv" / "bin", folder)


def test_the_wheel_holds_the_packages_and_nothing_else(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        names = archive.namelist()
    version = version_of_project()
    top = {name.partition("/")[0] for name in names}
    assert top == {"lakehouse", "scoring", "training", "deployment", "dbt", f"lakehouse_ml-{version}.dist-info"}
    assert {name.split("/")[2] for name in names if name.startswith("dbt/")} == {"embedded"}
    tracked = subprocess.run(
        ["git", "ls-files", "lakehouse", "scoring", "training", "deployment", "dbt_project/adapter"],
        cwd=PROJECT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    expected = {
        name.removeprefix("dbt_project/adapter/") for name in tracked if not name.startswith("training/use_cases/")
    }
    shared = subprocess.run(
        ["git", "ls-files", "dbt_project/macros", "dbt_project/data_tests", "profiles.yml"],
        cwd=PROJECT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    expected |= {f"training/init/project_files/{name.removeprefix('dbt_project/')}" for name in shared}
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_the_version_stands_in_one_place() -> None:
    version = version_of_project()
    tracked = subprocess.run(
        ["git", "grep", "-lF", f'"{version}"', "--", "*.py", "*.toml", "*.yml"],
        cwd=PROJECT, check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    assert tracked == ["pyproject.toml"]


def test_the_console_command_lists_what_is_installed(installed: Installed) -> None:
    listed = installed.run("python", "-c", START, "--help")
    assert "train " in listed
    assert "simulate" not in listed, "the wheel holds no simulation"
    assert installed.run("python", "-c", START, "--version").strip().endswith(version_of_project())


@pytest.mark.parametrize(
    "module", ["training.init", "training.run", "training.features", "training.score", "deployment.run"]
)
def test_a_command_shows_its_help_in_an_empty_folder(installed: Installed, module: str) -> None:
    assert "Usage:" in installed.run("python", "-m", module, "--help")
    assert not list(installed.folder.iterdir())


def test_dbt_finds_the_adapter_and_builds_in_a_folder_that_is_no_checkout(
    installed: Installed, tmp_path: Path
) -> None:
    for name, text in DBT_PROJECT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    here = Installed(installed.wheel, installed.binaries, tmp_path)
    output = here.run("dbt", "build", "--no-send-anonymous-usage-stats", "--no-version-check")
    assert f"Registered adapter: embedded={version_of_project()}" in output
    assert "PASS=1" in output
    assert (tmp_path / "warehouse" / "gold" / "numbers" / "_delta_log").is_dir()


def test_one_command_in_an_empty_folder_makes_a_project_with_an_answering_endpoint(
    installed: Installed, tmp_path: Path
) -> None:
    folder = tmp_path / "bottles"
    folder.mkdir()
    here = Installed(installed.wheel, installed.binaries, folder, {"MODEL_SERVER": f"http://127.0.0.1:{free_port()}"})
    wine = str(PROJECT / "docs" / "wine" / "wine.csv")
    briefly = ("--minutes", "0.05", "--families", "logistic_regression")
    printed = here.run("python", "-m", "training.init", wine, "--target", "cultivar", *briefly)
    assert f"{folder} becomes a project" in printed
    assert "wine version 1 is the challenger" in printed
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert made >= {
        "dbt_project.yml", "profiles.yml", "Makefile", "README.md", ".gitignore", ".github/workflows/ci.yml",
        "requirements.txt", "dbt_project/macros/encodings.sql", "training/use_cases/wine.yml",
        "dbt_project/landing/wine/wine.csv", "reports/wine/version-1.html",
    }  # fmt: skip
    assert (folder / "requirements.txt").read_text() == f"lakehouse-ml=={version_of_project()}\n"
    here.run("python", "-m", "deployment.run", "promote", "--use-case", "wine")
    try:
        here.run("python", "-m", "deployment.run", "serve", "--use-case", "wine", "--detach")
        assert '"label": "class_' in here.run("python", "-m", "deployment.run", "ask", "--use-case", "wine")
    finally:
        here.run("python", "-m", "deployment.run", "stop")
    assert "Promises kept: 1 feature table with" in here.run("python", "-m", "training.features", "--check")
