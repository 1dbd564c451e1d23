"""One hook: a function with the source that it came from."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lakehouse.errors import LakehouseError
from scoring.hooks.source import packages, run, source_of

Record = Mapping[str, Any]
Answer = dict[str, Any]


class HookRefused(LakehouseError):
    """A hook cannot be used: it is not there, takes other arguments, or fails at the golden request."""

    @classmethod
    def named(cls, name: str, reason: str) -> "HookRefused":
        return cls(f"the hook {name} {reason}", hint="Correct `serving` in the use case, or the hook's module.")


class HookFailed(LakehouseError):
    """A hook raised at a record, or made what it must not; the record has no answer."""

    def __init__(self, hook: str, row: int, reason: str) -> None:
        self.hook = hook
        self.row = row
        self.reason = reason
        super().__init__(f"row {row}: the hook {hook} {reason}")


@dataclass(frozen=True)
class Hook:
    """A function of one module, called record by record.

    Attributes:
        name: `package.module:function`.
        source: the text of its module.
    """

    name: str
    source: str
    function: Callable[..., Any] = field(compare=False)

    @classmethod
    def of_source(cls, name: str, source: str) -> "Hook":
        """The function of that name in a module made of `source`.

        Raises:
            HookRefused: the source cannot be run, or has no such function.
        """
        module, _, function = name.partition(":")
        try:
            found = getattr(run(module, source), function, None)
        except Exception as err:
            raise HookRefused.named(name, f"cannot be imported: {type(err).__name__}: {err}") from err
        if not inspect.isfunction(found) or inspect.iscoroutinefunction(found):
            raise HookRefused.named(name, f"is no function of {module}")
        return cls(name, source, found)

    @classmethod
    def find(cls, name: str, *arguments: str) -> "Hook":
        """The hook that a use case names, if it can be called with these arguments.

        Raises:
            HookRefused: there is none, it takes others, or it imports what a version could not bring along.
        """
        try:
            source = source_of(name.partition(":")[0])
            packages(source)
        except (ImportError, OSError, SyntaxError, ValueError) as err:
            raise HookRefused.named(name, f"cannot be imported: {err}") from err
        hook = cls.of_source(name, source)
        takes = inspect.signature(hook.function)
        try:
            takes.bind(*arguments)
        except TypeError as err:
            called = f"is called as ({', '.join(arguments)})"
            raise HookRefused.named(name, f"takes {takes}, and {called}") from err
        return hook

    def __call__(self, row: int, *arguments: Record) -> Answer:
        """What the function makes of copies of the arguments.

        Raises:
            HookFailed: it raised, or returned no record with named fields.
        """
        try:
            made = self.function(*(dict(argument) for argument in arguments))
        except Exception as err:
            raise HookFailed(self.name, row, f"raised {type(err).__name__}: {err}") from err
        if not isinstance(made, Mapping) or not all(isinstance(name, str) for name in made):
            raise HookFailed(self.name, row, f"returned {made!r:.80}, which is no record with named fields")
        return dict(made)
