"""`lakehouse` has each command of `python -m ...` once: the same object, so the same options and help."""

import importlib
import os
import subprocess
import sys
from collections import Counter

import click
import pytest
from click import Choice  # noqa: TID251  (the class that no command uses itself)
from click.shell_completion import ShellComplete
from click.testing import CliRunner

import deployment.run
from deployment.command_line import SECTIONS, SHELLS, VERBS, main
from lakehouse.options.choices import OneOf
from lakehouse.settings import PROJECT

# Started by make or by another command, and not by a person.
INTERNAL = {
    "deployment.command_line",
    "training.catalogue.manifest",
    "deployment.commands.serving.deploy_when_ready",
    VERBS,
}
FOLDERS = ("lakehouse", "scoring", "simulation", "training", "deployment")
HEAVY = {
    "databricks", "duckdb", "mlflow", "pandas", "pyarrow", "pyspark", "rich.progress", "scipy", "sklearn",
    "starlette",
}  # fmt: skip
CONTEXT = click.Context(main, info_name="lakehouse")
NAMES = main.list_commands(CONTEXT)


def command(name: str) -> click.Command:
    found = main.get_command(CONTEXT, name)
    assert found is not None
    return found


def modules_with_a_command() -> set[str]:
    files = (file for folder in FOLDERS for file in (PROJECT / folder).rglob("*.py"))
    started = [file for file in files if "    console.run_command(main)\n" in file.read_text(encoding="utf-8")]
    return {".".join(file.relative_to(PROJECT).with_suffix("").parts) for file in started}


def test_every_module_with_a_command_is_listed_once() -> None:
    modules = (module for section in SECTIONS.values() for module in section.values())
    listed = Counter(module for module in modules if module not in {VERBS, "deployment.command_line"})
    assert {module for module, count in listed.items() if count > 1} == set()
    assert modules_with_a_command() - INTERNAL <= set(listed)


def test_every_command_of_the_group_is_listed_once_under_its_own_name() -> None:
    listed = [name for section in SECTIONS.values() for name, module in section.items() if module == VERBS]
    assert sorted(listed) == sorted(deployment.run.main.commands)


@pytest.mark.parametrize("name", NAMES)
def test_a_command_has_the_options_and_help_of_its_module(name: str) -> None:
    module = next(section[name] for section in SECTIONS.values() if name in section)
    if module == VERBS:
        own = deployment.run.main.commands[name]
    elif name in main.commands:
        own = main.commands[name]
    else:
        own = importlib.import_module(module).main
    assert command(name) is own
    shown = CliRunner().invoke(main, [name, "--help"], prog_name="lakehouse").output
    assert shown.startswith(f"Usage: lakehouse {name} ")
    own_help = CliRunner().invoke(own, ["--help"], prog_name=f"lakehouse {name}").output
    assert " ".join(shown.split()) == " ".join(own_help.split())


def test_the_list_shows_each_command_with_its_own_first_sentence() -> None:
    listed = " ".join(CliRunner().invoke(main, ["--help"]).output.split())
    for section in SECTIONS:
        assert f" {section}: " in listed
    for name in NAMES:
        assert f" {name} {' '.join(command(name).get_short_help_str(limit=200).split())}" in listed


@pytest.mark.parametrize("words", ["--help", "--version", "promote --help", "serve --help"])
def test_help_imports_no_engine(words: str) -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom deployment.command_line import main\n"
        f"assert CliRunner().invoke(main, {words.split()!r}).exit_code == 0\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, capture_output=True, text=True)
    assert HEAVY & set(done.stdout.split()) == set()


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("lakehouse un", "plain,unfreeze"),
        ("lakehouse init --mem", "plain,--memory"),
        ("lakehouse train --max-e", "plain,--max-evals"),
        ("lakehouse train --engine o", "plain,optuna"),
        ("lakehouse score --inp", "plain,--input"),
        ("lakehouse features --rec", "plain,--record"),
        ("lakehouse publish --onl", "plain,--online"),
        ("lakehouse maintenance --ret", "plain,--retain"),
        ("lakehouse promote --dry", "plain,--dry-run"),
    ],
)
def test_words_are_completed_without_an_import_of_an_engine(line: str, completed: str) -> None:
    words = {
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
        "_LAKEHOUSE_COMPLETE": "bash_complete",
    }
    code = "from deployment.command_line import main; main(prog_name='lakehouse')"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        cwd=PROJECT, env=os.environ | words, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.split() == [completed]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert HEAVY & imported == set()


def test_options_and_choices_are_completed() -> None:
    complete = ShellComplete(main, {}, "lakehouse", "_LAKEHOUSE_COMPLETE")
    assert [each.value for each in complete.get_completions(["doctor"], "--on")] == ["--online"]
    assert "term_deposit" in [each.value for each in complete.get_completions(["promote", "--use-case"], "")]
    assert [each.value for each in complete.get_completions(["score", "--use-case"], "ch")] == ["churn"]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_a_completion_script(shell: str) -> None:
    script = CliRunner().invoke(main, ["completion", shell]).output
    assert f"_LAKEHOUSE_COMPLETE={shell}_complete" in script
    assert "lakehouse" in script


def test_a_command_started_by_its_short_name_prints_short_names() -> None:
    code = "from deployment.command_line import run; run()"
    command = [sys.executable, "-c", code, "train", "--use-case", "churn", "--families", "ridge"]
    done = subprocess.run(command, cwd=PROJECT, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].strip() == "lakehouse train --help"


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_choice_of_any_option_is_refused_with_the_nearest_one(name: str) -> None:
    for option in command(name).params:
        if isinstance(option.type, Choice):
            assert isinstance(option.type, OneOf), f"{name} {option.opts}"
            right = option.type.choices[-1]
            if len(right) > 2:
                refused = option.type.get_invalid_choice_message(right[:-1], None)
                assert refused.endswith(f"Did you mean '{right}'?")


def test_an_unknown_command_is_refused_with_the_nearest_name() -> None:
    result = CliRunner().invoke(main, ["trian"])
    assert result.exit_code == 2
    assert "No such command 'trian'" in result.output
    assert "train" in result.output.partition("No such command 'trian'")[2]
