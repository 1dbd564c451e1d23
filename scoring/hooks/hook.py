"""One hook: a function with its source."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lakehouse.errors import LakehouseError
from scoring.hooks.columns import Columns
from scoring.hooks.source import packages, run, source_of

_NAMES = frozenset({str})
Record = Mapping[str, Any]
Response = dict[str, Any]


class HookRefused(LakehouseError):
    """A hook is missing, accepts other arguments, or fails at the golden request."""

    @classmethod
    def named(cls, name: str, reason: str) -> "HookRefused":
        return cls(f"the hook {name} {reason}", hint="Correct `serving` in the use case, or the hook's module.")


class HookFailed(LakehouseError):
    """A hook raised at a record, or returned a wrong value; the record has no response."""

    def __init__(self, hook: str, row: int, reason: str) -> None:
        self.hook = hook
        self.row = row
        self.reason = reason
        super().__init__(f"row {row}: the hook {hook} {reason}")


@dataclass(frozen=True)
class Hook:
    """A function of one module, called once for each record.

    Attributes:
        name: `package.module:function`.
        source: the text of its module.
        columns_function: the column form of a function after the model, if its module has one.
    """

    name: str
    source: str
    function: Callable[..., Any] = field(compare=False)
    columns_function: Callable[[Columns], Columns] | None = field(default=None, compare=False)

    @classmethod
    def of_source(cls, name: str, source: str) -> "Hook":
        """The function of that name in a module with this source.

        Raises:
            HookRefused: the source does not run, or has no such function.
        """
        module, _, function = name.partition(":")
        try:
            namespace = run(module, source)
            hook, columns_function = (
                getattr(namespace, function, None),
                getattr(namespace, f"{function}_columns", None),
            )
        except Exception as err:
            raise HookRefused.named(name, f"cannot be imported: {type(err).__name__}: {err}") from err
        if not inspect.isfunction(hook) or inspect.iscoroutinefunction(hook):
            raise HookRefused.named(name, f"is not a function of {module}")
        return cls(name, source, hook, columns_function if inspect.isfunction(columns_function) else None)

    @classmethod
    def find(cls, name: str, *arguments: str) -> "Hook":
        """Find the hook that a use case names, and check that it accepts these arguments.

        Raises:
            HookRefused: it is missing, accepts other arguments, or imports a module that no version can include.
        """
        try:
            source = source_of(name.partition(":")[0])
            packages(source)
        except (ImportError, OSError, SyntaxError, ValueError) as err:
            raise HookRefused.named(name, f"cannot be imported: {err}") from err
        hook = cls.of_source(name, source)
        signature = inspect.signature(hook.function)
        try:
            signature.bind(*arguments)
        except TypeError as err:
            reason = f"accepts {signature}, but is called with ({', '.join(arguments)})"
            raise HookRefused.named(name, reason) from err
        return hook

    def __call__(self, row: int, *arguments: Record) -> Response:
        """Call the function with copies of the arguments.

        Raises:
            HookFailed: it raised, or returned a value that is not a record with named fields.
        """
        try:
            result = self.function(*map(dict, arguments))
        except Exception as err:
            raise self._failure(row, err) from err
        return self.checked(row, result)

    def of_each(
        self, responses: Sequence[Response], records: Sequence[Record]
    ) -> tuple[list[Response], HookFailed | None]:
        """Call a function after the model for each row, up to the first failure.

        Args:
            responses: the function may change them; of the records it gets copies.

        Returns:
            The responses before the failure, whose names are not checked, and the failure.
        """
        function, results = self.function, list[Response]()
        for response, record in zip(responses, records, strict=True):
            try:
                result = function(response, dict(record))
            except Exception as err:  # noqa: BLE001  (foreign code; the caller raises the failure)
                failure = self._failure(len(results), err)
                failure.__cause__ = err
                return results, failure
            if type(result) is dict:
                results.append(result.copy())  # the function may keep its own, and change it at the next call
                continue
            try:
                results.append(self.checked(len(results), result))
            except HookFailed as failure:
                return results, failure
        return results, None

    def of_columns(self, columns: Columns) -> Columns:
        """Call the column form with copies of the columns, and copy its results.

        Raises:
            Exception: from the code of the use case, also a TypeError for results that are no lists by name.
        """
        if self.columns_function is None:
            raise TypeError(f"{self.name} has no column form")
        results = self.columns_function({name: values.copy() for name, values in columns.items()})
        return {str(name): list(values) for name, values in results.items()}

    def _failure(self, row: int, err: Exception) -> HookFailed:
        return HookFailed(self.name, row, f"raised {type(err).__name__}: {err}")

    def checked(self, row: int, result: object) -> Response:
        """A copy of a result.

        Raises:
            HookFailed: it is not a record with named fields.
        """
        if type(result) is dict and _NAMES.issuperset(map(type, result)):
            return result.copy()
        if not isinstance(result, Mapping) or not all(isinstance(name, str) for name in result):
            raise HookFailed(self.name, row, f"returned {result!r:.80}, which is not a record with named fields")
        return dict(result)
