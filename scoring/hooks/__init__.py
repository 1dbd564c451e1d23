"""A use case's own code around the model: `preprocess` before the input contract, `postprocess` after the answer.

A hook is a function of one module, named `package.module:function`. It is called record by record, so that an answer
depends on its own record alone, in an endpoint, in a batch and in `pyfunc.predict` alike. The module is a file of the
version and runs apart from others of its name, so that versions with other code answer side by side.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scoring.hooks.fields import FIELDS, Fields, fields_of
from scoring.hooks.hook import Answer, Hook, HookFailed, HookRefused, Record
from scoring.hooks.source import packages

_FILES = ("preprocess.py", "postprocess.py")

__all__ = ["NO_HOOKS", "Answer", "Fields", "Hook", "HookFailed", "HookRefused", "Hooks", "Record"]


@dataclass(frozen=True)
class Hooks:
    """The hooks of a use case; None where it has none.

    Attributes:
        preprocess: from the record that a caller sends to the columns that the model reads.
        postprocess: from the model's answer and the caller's record to the answer that the caller gets.
        takes: the fields that a caller sends, where `preprocess` is given.
        answers: the fields that a caller gets, where `postprocess` is given. Every answer is held to them.
    """

    preprocess: Hook | None = None
    postprocess: Hook | None = None
    takes: Fields = field(default_factory=dict)
    answers: Fields = field(default_factory=dict)

    @classmethod
    def find(
        cls, preprocess: str | None, postprocess: str | None, golden: Record, samples: Sequence[Answer]
    ) -> "Hooks":
        """The hooks of these names, tried on the golden request and on answers that the model may give.

        Raises:
            HookRefused: one cannot be used, fails at them, or gives one sample other fields than the next.
        """
        before = Hook.find(preprocess, "record") if preprocess else None
        after = Hook.find(postprocess, "answer", "record") if postprocess else None
        return cls(before, after, _taken(before, golden), _answered(after, golden, samples))

    def before(self, row: int, record: Record) -> Record:
        """The record as the model reads it.

        Raises:
            HookFailed: the hook did.
        """
        return record if self.preprocess is None else self.preprocess(row, record)

    def after(self, row: int, answer: Answer, record: Record) -> Answer:
        """The answer as the caller gets it.

        Raises:
            HookFailed: the hook did, or gave other fields than the signature says.
        """
        if self.postprocess is None:
            return answer
        made = self.postprocess(row, answer, record)
        try:
            found = fields_of(made)
        except ValueError as err:
            raise HookFailed(self.postprocess.name, row, f"returned an answer in which {err}") from err
        if found != self.answers:
            raise HookFailed(self.postprocess.name, row, f"answered {_told(found)}, and says {_told(self.answers)}")
        return {name: made[name] for name in self.answers}

    def packages(self) -> set[str]:
        """The distributions that the hooks import."""
        return set().union(*(packages(hook.source) for hook in (self.preprocess, self.postprocess) if hook))

    def about(self) -> dict[str, Any]:
        """What `load` must know beside the files, as JSON takes it."""
        names = (hook and hook.name for hook in (self.preprocess, self.postprocess))
        return {**dict(zip(_FILES, names, strict=True)), "takes": dict(self.takes), "answers": dict(self.answers)}

    def save(self, folder: Path) -> dict[str, str]:
        """Write the module of each hook into an existing folder; the path of each by its name."""
        hooks = zip(_FILES, (self.preprocess, self.postprocess), strict=True)
        written = {file: hook.source for file, hook in hooks if hook}
        for file, source in written.items():
            (folder / file).write_text(source, encoding="utf-8")
        return {file: str(folder / file) for file in written}

    @classmethod
    def load(cls, about: Mapping[str, Any], artifacts: Mapping[str, str]) -> "Hooks":
        """The hooks with the code that they had when they were saved, whatever modules this process has.

        Raises:
            HookRefused: the code does not run here.
        """
        before, after = (
            about[file] and Hook.of_source(about[file], Path(artifacts[file]).read_text(encoding="utf-8"))
            for file in _FILES
        )
        return cls(before, after, *(FIELDS.validate_python(about[place]) for place in ("takes", "answers")))


NO_HOOKS = Hooks()


def _taken(hook: Hook | None, golden: Record) -> Fields:
    if hook is None:
        return {}
    with _at_the_golden_request(hook):
        hook(0, golden)
        return fields_of(golden)


def _answered(hook: Hook | None, golden: Record, samples: Sequence[Answer]) -> Fields:
    if hook is None:
        return {}
    with _at_the_golden_request(hook):
        first, *others = (fields_of(hook(0, sample, golden)) for sample in samples)
        for other in others:
            if other != first:
                raise ValueError(f"it answers {_told(first)} to one answer of the model, {_told(other)} to another")
        return first


@contextmanager
def _at_the_golden_request(hook: Hook) -> Iterator[None]:
    try:
        yield
    except HookFailed as err:
        raise HookRefused.named(hook.name, f"{err.reason} at the golden request") from err
    except ValueError as err:
        raise HookRefused.named(hook.name, f"does not fit the golden request: {err}") from err


def _told(fields: Fields) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in fields.items()) or "nothing"
