"""`lakehouse COMMAND`: every command of the project behind one name, the same objects as behind `python -m`.

A command is imported when it runs, or when its own help or options are asked for: MLflow and scikit-learn take
seconds. The list of commands reads the first line of their docstrings from the source instead.
"""

import ast
import functools
import importlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

import deployment.run
from lakehouse import console
from lakehouse.errors import nearest
from lakehouse.options.choices import OneOf
from lakehouse.short_names import use_short_names

PROGRAM = "lakehouse"
VERBS = "deployment.run"  # a group, whose commands stand here under their own names
SHELLS = ("bash", "zsh", "fish")

# Each command with the module that `python -m` runs.
SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Data": {
        "init": "training.init.__main__",
        "build": "lakehouse.build",
        "features": "training.features",
        "publish": "training.publish",
        "maintenance": "training.maintenance",
        "simulate": "simulation.run",
    },
    "Models": {
        "train": "training.run",
        "score": "training.score",
    },
    "Promotion": dict.fromkeys(
        ("promote", "approve", "rollback", "freeze", "unfreeze", "history", "verify", "reset-ledger"), VERBS
    ),
    "Serving": dict.fromkeys(
        ("serve", "ask", "status", "stop", "rollout", "follow", "add-caller", "remove-caller"), VERBS
    ),
    "Operation": {"monitor": VERBS, "replay": VERBS, "doctor": VERBS, "completion": __name__},
}


def long_name(name: str) -> str | None:
    """Name of the same command after `python -m`; None for a command of this group alone."""
    module = _modules()[name]
    if module == __name__:
        return None
    return f"{module} {name}" if module == VERBS else module.removesuffix(".__main__")


class LazyGroup(click.Group):
    """A group that imports a command when it is needed, and shows its commands in sections."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands that are installed, in the order of the sections."""
        return [name for section in SECTIONS for name in self._of_section(section)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command; its module is imported."""
        module = _modules().get(cmd_name)
        if module is None:
            return None
        if module == __name__:
            return self.commands[cmd_name]
        if module == VERBS:
            return deployment.run.main.commands.get(cmd_name)
        command: click.Command = importlib.import_module(module).main
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the arguments; an unknown one is refused with the nearest name."""
        if not ctx.resilient_parsing and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"No such command '{args[0]}'. {nearest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands with their help; click itself would import each command for it."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        return [CompletionItem(name, help=_summary(name)) for name in names]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section with its commands and the first line of their help."""
        for section in SECTIONS:
            if rows := [(name, _summary(name)) for name in self._of_section(section)]:
                with formatter.section(section):
                    formatter.write_dl(rows)

    @staticmethod
    def _of_section(section: str) -> list[str]:
        return [name for name in SECTIONS[section] if name in _modules()]


@functools.cache
def _modules() -> Mapping[str, str]:
    """The module of each installed command; a wheel has no `simulation`."""
    declared = {name: module for section in SECTIONS.values() for name, module in section.items()}
    return {name: module for name, module in declared.items() if module in {VERBS, __name__} or _is_installed(module)}


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even its package
        return False


def _summary(name: str) -> str:
    """The first sentence of a command's help, without an import of its module."""
    module = _modules()[name]
    if module in {VERBS, __name__}:
        group = deployment.run.main if module == VERBS else main
        return group.commands[name].get_short_help_str(limit=200)
    spec = find_spec(module)
    source = Path(str(spec.origin if spec else "")).read_text(encoding="utf-8")
    functions = (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    described = next(ast.get_docstring(node) or "" for node in functions if node.name == "main")
    return click.Command(name, help=described).get_short_help_str(limit=200)


@click.group(cls=LazyGroup, context_settings={"max_content_width": 120}, epilog=deployment.run.MEANING_OF_EXIT_CODES)
@click.version_option(package_name="lakehouse-ml")
def main() -> None:
    """From a table to a model that answers requests, and the same commands as `python -m ...`."""


@main.command()
@click.argument("shell", type=OneOf(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script of a shell: `eval "$(lakehouse completion bash)"` in ~/.bashrc."""
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    console.verbatim(found(main, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source())


def run() -> None:
    """Run `lakehouse` and exit. What it prints names commands as `lakehouse ...`, too."""
    use_short_names({long: f"{PROGRAM} {name}" for name in _modules() if (long := long_name(name))})
    console.run_command(main)


if __name__ == "__main__":
    run()
