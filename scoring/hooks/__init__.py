"""Hooks of a use case: `preprocess` runs before the input contract, `postprocess` after the prediction.

A hook is a function of one module, named `package.module:function`. It is called once for each record, so a response
depends only on its own record, in an endpoint, in a batch and in `pyfunc.predict` alike. The module is a file of the
version. It runs separately from modules of the same name, so versions with different code are served together.

For speed, the module of a `postprocess` hook may have a column form, `function_columns(responses)`. It takes and
returns the values of many responses by field, and must give each response what `function` gives it. Where it does not
return valid responses, `function` is called for each.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

from scoring.hooks.columns import Columns, responses_of
from scoring.hooks.fields import FIELDS, KINDS, Fields, fields_of
from scoring.hooks.hook import Hook, HookFailed, HookRefused, Record, Response
from scoring.hooks.shipped import HOOK_FILES, has_foreign_hooks
from scoring.hooks.source import packages

MANY = 4  # responses from which a check of all together is faster

__all__ = [
    "NO_HOOKS",
    "Fields",
    "Hook",
    "HookFailed",
    "HookRefused",
    "Hooks",
    "Record",
    "Response",
    "has_foreign_hooks",
]


@dataclass(frozen=True)
class Hooks:
    """The hooks of a use case.

    Attributes:
        preprocess: turns the caller's record into the columns that the model reads.
        postprocess: changes the model's response, with the caller's record at hand.
        request_fields: the fields that a caller sends; empty without `preprocess`.
        response_fields: the fields of every response; empty without `postprocess`.
    """

    preprocess: Hook | None = None
    postprocess: Hook | None = None
    request_fields: Fields = field(default_factory=dict)
    response_fields: Fields = field(default_factory=dict)

    @classmethod
    def find(
        cls, preprocess: str | None, postprocess: str | None, golden: Record, samples: Sequence[Response]
    ) -> "Hooks":
        """Find the hooks by name and try them on the golden request and on sample responses of the model.

        Raises:
            HookRefused: a hook cannot be used, fails, or returns different fields for different samples.
        """
        before = Hook.find(preprocess, "record") if preprocess else None
        after = Hook.find(postprocess, "response", "record") if postprocess else None
        return cls(before, after, _request_fields(before, golden), _response_fields(after, golden, samples))

    def before(self, row: int, record: Record) -> Record:
        """The columns that the model reads, from the caller's record.

        Raises:
            HookFailed: the hook raised, or returned no record.
        """
        return record if self.preprocess is None else self.preprocess(row, record)

    def after(self, row: int, response: Response, record: Record) -> Response:
        """The model's response after the hook.

        Raises:
            HookFailed: the hook raised, or returned other fields than the signature.
        """
        if self.postprocess is None:
            return response
        response = self.postprocess(row, response, record)
        return response if self._is_as_expected(response) else self._checked(row, response, self.postprocess)

    def after_columns(self, columns: Columns, records: Sequence[Record]) -> list[Response]:
        """`after` for each row of responses that are given as columns.

        Raises:
            HookFailed: at the first row at which `after` raises.
        """
        if self.postprocess is None:
            return responses_of(columns)
        together = self.together(columns)
        return self.after_each(responses_of(columns), records) if together is None else together

    def together(self, columns: Columns) -> list[Response] | None:
        """The responses by the column form of the hook; None if it has none, or does not return valid responses."""
        rows = min(map(len, columns.values()))
        if self.postprocess is None or self.postprocess.columns_function is None or rows < MANY:
            return None
        try:
            results = self.postprocess.of_columns(columns)
        except Exception:  # noqa: BLE001  (code of the use case; the function of one response finds out at which)
            return None
        valid = results.keys() == self.response_fields.keys() and all(
            len(values) == rows and self._has_kind(values, kind)
            for values, kind in zip(map(results.__getitem__, self._signature[0]), self._signature[1], strict=True)
        )
        return responses_of({name: results[name] for name in self._signature[0]}) if valid else None

    def after_each(self, responses: Sequence[Response], records: Sequence[Record]) -> list[Response]:
        """`after` for each row; many responses are checked together, field by field.

        Raises:
            HookFailed: at the first row at which `after` raises.
        """
        if self.postprocess is None:
            return list(responses)
        if len(responses) < MANY:
            return [self.after(row, *each) for row, each in enumerate(zip(responses, records, strict=True))]
        results, failed = self.postprocess.of_each(responses, records)
        if not self._are_as_expected(results):
            results = [self._checked(row, each, self.postprocess) for row, each in enumerate(results)]
        if failed is not None:
            raise failed
        return results

    def _checked(self, row: int, response: Response, hook: Hook) -> Response:
        response = hook.checked(row, response)
        if self._is_as_expected(response):
            return response
        try:
            fields = fields_of(response)
        except ValueError as err:
            raise HookFailed(hook.name, row, f"returned a response in which {err}") from err
        if fields != self.response_fields:
            expected = format_fields(self.response_fields)
            raise HookFailed(hook.name, row, f"returned {format_fields(fields)}; expected {expected}")
        return {name: response[name] for name in self.response_fields}

    def _is_as_expected(self, response: Response) -> bool:
        """True if the fields are those of the signature, in order; a quick form of the check of every field."""
        names, types = self._signature
        values = response.values()
        if tuple(response) != names or tuple(map(type, values)) != types:
            return False
        return float not in types or all([isfinite(value) for value in values if type(value) is float])  # noqa: C419

    def _are_as_expected(self, responses: Sequence[Response]) -> bool:
        """True if `_is_as_expected` is true of every response."""
        names, types = self._signature
        if set(map(tuple, responses)) != {names}:
            return False
        columns = zip(*map(dict.values, responses), strict=True)
        return all(map(self._has_kind, columns, types))

    @staticmethod
    def _has_kind(values: Sequence[Any], kind: type) -> bool:
        return set(map(type, values)) == {kind} and (kind is not float or all(map(isfinite, values)))

    @cached_property
    def _signature(self) -> tuple[tuple[str, ...], tuple[type, ...]]:
        types = {kind: each for each, kind in KINDS.items()}
        return tuple(self.response_fields), tuple(types[kind] for kind in self.response_fields.values())

    def packages(self) -> set[str]:
        """The distributions that the hooks import."""
        return set().union(*(packages(hook.source) for hook in (self.preprocess, self.postprocess) if hook))

    def description(self) -> dict[str, Any]:
        """Everything that `load` needs besides the files, as JSON."""
        names = (hook and hook.name for hook in (self.preprocess, self.postprocess))
        fields = {"request_fields": dict(self.request_fields), "response_fields": dict(self.response_fields)}
        return {**dict(zip(HOOK_FILES, names, strict=True)), **fields}

    def save(self, folder: Path) -> dict[str, str]:
        """Write the module of each hook into an existing folder; return the path of each by name."""
        hooks = zip(HOOK_FILES, (self.preprocess, self.postprocess), strict=True)
        written = {file: hook.source for file, hook in hooks if hook}
        for file, source in written.items():
            (folder / file).write_text(source, encoding="utf-8")
        return {file: str(folder / file) for file in written}

    @classmethod
    def load(cls, description: Mapping[str, Any], artifacts: Mapping[str, str]) -> "Hooks":
        """Load the hooks with their saved code; modules of the same name in this process do not matter.

        Raises:
            HookRefused: the code does not run here.
        """
        before, after = (
            description[file] and Hook.of_source(description[file], Path(artifacts[file]).read_text(encoding="utf-8"))
            for file in HOOK_FILES
        )
        fields = (FIELDS.validate_python(description[name]) for name in ("request_fields", "response_fields"))
        return cls(before, after, *fields)


NO_HOOKS = Hooks()


def _request_fields(hook: Hook | None, golden: Record) -> Fields:
    if hook is None:
        return {}
    with _at_the_golden_request(hook):
        hook(0, golden)
        return fields_of(golden)


def _response_fields(hook: Hook | None, golden: Record, samples: Sequence[Response]) -> Fields:
    if hook is None:
        return {}
    with _at_the_golden_request(hook):
        responses = [hook(0, sample, golden) for sample in samples]
        first, *others = map(fields_of, responses)
        for other in others:
            if other != first:
                raise ValueError(
                    f"it returns {format_fields(first)} for one response, {format_fields(other)} for another"
                )
        if hook.columns_function is not None:
            together = hook.of_columns({name: [sample[name] for sample in samples] for name in samples[0]})
            if (found := responses_of(together)) != responses:
                raise ValueError(f"{hook.columns_function.__name__} returns {found}, not {responses}"[:300])
        return first


@contextmanager
def _at_the_golden_request(hook: Hook) -> Iterator[None]:
    try:
        yield
    except HookFailed as err:
        raise HookRefused.named(hook.name, f"{err.reason} at the golden request") from err
    except ValueError as err:
        raise HookRefused.named(hook.name, f"does not fit the golden request: {err}") from err


def format_fields(fields: Fields) -> str:
    """Name and kind of each field."""
    return ", ".join(f"{name} ({kind})" for name, kind in fields.items()) or "nothing"
