"""Hooks of a use case: unusable ones are refused, failures are reported, and every caller gets the same response."""

import json
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.pyfunc.model import PythonModelContext

from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.models.contract_model import ContractModel
from scoring.contract import ContractViolation
from scoring.hooks import NO_HOOKS, HookFailed, HookRefused, Hooks, has_foreign_hooks, shipped
from scoring.pyfunc import ScoringModel
from scoring.scorer import RejectedRecord, ResponseFormat, Scorer
from tests.unit.frames import ENCODER
from tests.unit.scoring.test_scorer import PIPELINE
from training.use_case.use_case import FOLDER, UseCaseRefused, load

BOTH = ResponseFormat(("label", "probability"), 0.5)
GOLDEN: dict[str, Any] = {"theAmount": 1.5, "town": "Bonn", "known": 3}
OURS = """
from dataclasses import dataclass
from math import floor

@dataclass
class Percent:
    of: "float"

def to_columns(record):
    return {"amount": record["theAmount"], "place": record["town"], "known": record["known"]}

def worded(response, record):
    return {"town": record["town"], "percent": floor(Percent(100 * response["probability"]).of)}
"""
SENT: list[dict[str, Any]] = [
    {"theAmount": 1.5, "town": "Bonn", "known": 4},
    {"theAmount": -1.0, "town": "Aachen", "known": None},
    {"theAmount": 0.4, "town": "Celle", "known": 0},
]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package `acme` that can be imported, with a module `hooks` that tests write."""
    folder = tmp_path / "acme"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "hooks.py").write_text(OURS)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme"]:
        del sys.modules[name]


def found(before: str | None = "acme.hooks:to_columns", after: str | None = "acme.hooks:worded") -> Hooks:
    return Hooks.find(before, after, GOLDEN, BOTH.samples())


def scorer(hooks: Hooks = NO_HOOKS) -> Scorer:
    return Scorer(PIPELINE, ENCODER, BOTH, hooks)


def expected() -> list[dict[str, Any]]:
    columns = [{"amount": row["theAmount"], "place": row["town"], "known": row["known"]} for row in SENT]
    plain = scorer().respond(columns)
    return [
        {"town": row["town"], "percent": int(100 * response["probability"])}
        for row, response in zip(SENT, plain, strict=True)
    ]


@pytest.mark.usefixtures("package")
def test_hooks_run_before_and_after_the_model() -> None:
    ours = scorer(found())
    assert ours.respond(SENT) == expected()
    assert ours.fields() == {"town": "text", "percent": "integer"}
    assert ours.hooks.request_fields == {"theAmount": "number", "town": "text", "known": "integer"}


@pytest.mark.usefixtures("package")
def test_hooks_give_the_same_responses_in_request_frame_and_batch() -> None:
    model = ScoringModel()
    model.scorer = scorer(found())
    body = ContractModel(model.respond).predictions(ScoringRequest(SENT))
    framed = model.predict(PythonModelContext({}, {}), pd.DataFrame(SENT))  # type: ignore[no-untyped-call]
    assert json.loads(body)["predictions"] == expected()
    assert framed.to_dict("records") == expected()
    assert model.scorer.outcomes(SENT) == expected()


def test_a_version_keeps_the_code_of_its_hooks(package: Path, tmp_path: Path) -> None:
    artifacts = scorer(found()).save(tmp_path)
    (package / "hooks.py").write_text(OURS.replace("100 *", "1000 *"))
    newer = tmp_path / "newer"
    newer.mkdir()
    both = [Scorer.load(artifacts), Scorer.load(scorer(found()).save(newer))]
    first, second = ([response["percent"] for response in each.respond(SENT)] for each in both)
    assert first == [response["percent"] for response in expected()]
    assert [percent // 10 for percent in second] == first
    assert sorted(artifacts) == ["pipeline.skops", "postprocess.py", "preprocess.py", "scorer.json"]
    assert Path(artifacts["preprocess.py"]).read_text() == OURS


def test_a_version_loads_without_the_module_of_its_hooks(package: Path, tmp_path: Path) -> None:
    artifacts = scorer(found()).save(tmp_path)
    (package / "hooks.py").unlink()
    assert Scorer.load(artifacts).respond(SENT) == expected()
    Path(artifacts["preprocess.py"]).write_text("import gone_since\n")
    with pytest.raises(HookRefused, match=r"acme\.hooks:to_columns cannot be imported: .*gone_since"):
        Scorer.load(artifacts)


@pytest.mark.usefixtures("package")
def test_the_contract_is_checked_on_what_the_hook_returns() -> None:
    ours = scorer(found())
    with pytest.raises(ContractViolation, match="row 1, field 'amount': expected double, got 'much'"):
        ours.respond([SENT[0], SENT[1] | {"theAmount": "much"}])


@pytest.mark.usefixtures("package")
def test_an_error_names_the_hook_that_raised() -> None:
    ours = scorer(found())
    with pytest.raises(HookFailed, match=r"^row 1: the hook acme\.hooks:to_columns raised KeyError: 'town'$"):
        ours.respond([SENT[0], {"theAmount": 1.0}])
    with pytest.raises(HookFailed):  # the server answers it with a 500 and an id
        ContractModel(ours.respond).predictions(ScoringRequest([{"theAmount": 1.0}]))


@pytest.mark.usefixtures("package")
def test_a_rejected_record_does_not_affect_the_others() -> None:
    sent = [SENT[0], SENT[1] | {"theAmount": "much"}, {"theAmount": 1.0}, SENT[2]]
    first, *refused, last = scorer(found()).outcomes(sent)
    assert [first, last] == [expected()[0], expected()[2]]
    assert refused == [
        RejectedRecord("amount: expected double, got 'much'"),
        RejectedRecord("the hook acme.hooks:to_columns raised KeyError: 'town'"),
    ]
    assert scorer(found()).outcomes([]) == []


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ('None if record["town"] == "Celle" else response', "returned None, which is not a record with named fields"),
        ('{1: 2} if record["town"] == "Celle" else response', "returned {1: 2}, which is not a record"),
        ('{"label": 1} if record["town"] == "Celle" else response', "returned label (integer); expected label"),
        ('{**response, "label": "1"} if record["town"] == "Celle" else response', "returned label (text)"),
        ('{**response, "probability": float("nan")} if record["town"] == "Celle" else response', "is nan (float)"),
        ('{**response, "label": __import__("numpy").int64(1)} if record["town"] == "Celle" else response', "(int64)"),
        ('response if record["town"] != "Celle" else {**response, "label": 1 / 0}', "raised ZeroDivisionError"),
    ],
)
def test_a_response_that_differs_from_the_signature_is_an_error(package: Path, returned: str, told: str) -> None:
    (package / "hooks.py").write_text(OURS + f"\ndef odd(response, record):\n    return {returned}\n")
    ours = scorer(found(after="acme.hooks:odd"))
    assert len(ours.respond(SENT[:2])) == 2
    with pytest.raises(HookFailed) as failed:
        ours.respond(SENT)
    assert (failed.value.hook, failed.value.row) == ("acme.hooks:odd", 2)
    assert told in failed.value.reason


AFTER_MANY = """
KEPT = {}

def worded(response, record):
    known = record.pop("known")
    if known == "raises":
        raise ValueError("no")
    if known == "text":
        response["label"] = "1"
    if known == "none":
        return None
    if known == "numbered":
        return {1: 2}
    if known == "reversed":
        return dict(reversed(response.items()))
    KEPT.update(response)
    return KEPT
"""


@pytest.mark.parametrize(
    "odd",
    [{}, {5: "raises"}, {5: "text"}, {5: "none"}, {5: "numbered"}, {5: "reversed"}, {7: "raises", 5: "text"},
     {5: "raises", 7: "text"}, {7: "raises", 5: "numbered"}, {0: "raises"}],
    ids=str,
)  # fmt: skip
def test_many_responses_are_checked_together_as_they_are_one_by_one(package: Path, odd: dict[int, str]) -> None:
    (package / "hooks.py").write_text(AFTER_MANY)
    hooks = found(None, "acme.hooks:worded")
    responses = [{"label": row % 2, "probability": row / 10} for row in range(9)]
    records = [GOLDEN | {"known": odd.get(row, row)} for row in range(9)]
    sent = [dict(record) for record in records]

    def one_by_one() -> list[Any]:
        pairs = zip(responses, records, strict=True)
        return [hooks.after(row, dict(response), record) for row, (response, record) in enumerate(pairs)]

    try:
        expected = one_by_one()
    except HookFailed as failure:
        with pytest.raises(HookFailed) as failed:
            hooks.after_each([dict(each) for each in responses], records)
        assert str(failed.value) == str(failure)
        assert repr(failed.value.__cause__) == repr(failure.__cause__)
    else:
        after = hooks.after_each([dict(each) for each in responses], records)
        assert [list(each.items()) for each in after] == [list(each.items()) for each in expected]
    assert records == sent


COLUMN_FORM = """
CALLS = []

def worded(response, record):
    CALLS.append(record["known"])
    return {"label": response["label"], "percent": round(100 * response["probability"])}

def worded_columns(responses):
    percents = [round(100 * each) for each in responses["probability"]]
    if len(percents) != 3:  # samples of the training
        CHANGE
    responses["probability"].clear()
    return {"percent": percents, "label": responses["label"]}
"""
NINE: dict[str, list[Any]] = {"label": [row % 2 for row in range(9)], "probability": [row / 10 for row in range(9)]}


@pytest.mark.parametrize(
    ("change", "calls"),
    [
        ("pass", 0),
        ("percents = tuple(percents)", 0),
        ("percents = percents[1:]", 9),
        ("percents[4] = None", 9),
        ("return percents", 9),
        ("return {'percent': percents}", 9),
        ("raise ValueError", 9),
    ],
)
def test_a_column_form_answers_if_its_responses_are_valid_and_otherwise_the_hook_does(
    package: Path, change: str, calls: int
) -> None:
    (package / "hooks.py").write_text(COLUMN_FORM.replace("CHANGE", change))
    hooks = found(None, "acme.hooks:worded")
    assert hooks.postprocess is not None
    called: list[int] = hooks.postprocess.function.__globals__["CALLS"]
    called.clear()
    records = [GOLDEN | {"known": row} for row in range(9)]
    after = hooks.after_columns({name: [*values] for name, values in NINE.items()}, records)
    assert after == [{"label": row % 2, "percent": 10 * row} for row in range(9)]
    assert [list(each) for each in after] == [["label", "percent"]] * 9
    assert len(called) == calls


def test_a_column_form_that_differs_from_its_hook_is_refused(package: Path) -> None:
    constant = COLUMN_FORM.replace("CHANGE", "pass").replace("percents =", "percents = [0, 0, 0] or")
    (package / "hooks.py").write_text(constant)
    with pytest.raises(HookRefused, match=r"worded_columns returns \[.*'percent': 0.*, not \[.*'percent': 50"):
        found(None, "acme.hooks:worded")


@pytest.mark.parametrize("known", [False, True], ids=["other words", "words of an earlier version of this project"])
def test_a_shipped_hook_is_foreign_only_in_words_that_were_never_shipped(
    tmp_path: Path, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = Hooks.find(None, "scoring.hooks.probability_band:add_band", GOLDEN, BOTH.samples())
    files = hooks.save(tmp_path)
    assert not has_foreign_hooks(hooks.description(), files)
    Path(files["postprocess.py"]).write_text(words := "def add_band(response, record): return response")
    monkeypatch.setattr(shipped, "_EARLIER", {sha256(words.encode()).hexdigest()} if known else set())
    assert has_foreign_hooks(hooks.description(), files) is not known


def test_a_hook_cannot_change_the_request(package: Path) -> None:
    (package / "hooks.py").write_text(
        'def eats(record):\n    return {"amount": record.pop("theAmount"), "place": None, "known": None}\n'
    )
    sent = [dict(SENT[0])]
    scorer(found("acme.hooks:eats", None)).respond(sent)
    assert sent == SENT[:1]


@pytest.mark.parametrize(
    ("source", "before", "after", "told"),
    [
        ("", "acme.hooks:to_columns", None, "is not a function of acme.hooks"),
        ("to_columns = 3", "acme.hooks:to_columns", None, "is not a function of acme.hooks"),
        ("async def f(record): return record", "acme.hooks:f", None, "is not a function of acme.hooks"),
        (
            "def f(record, more): return record",
            "acme.hooks:f",
            None,
            "accepts (record, more), but is called with (rec",
        ),
        (
            "def f(response): return response",
            None,
            "acme.hooks:f",
            "accepts (response), but is called with (response, record)",
        ),
        ("def f(*, record): return record", "acme.hooks:f", None, "accepts (*, record)"),
        ("def f(", "acme.hooks:f", None, "cannot be imported"),
        ("1 / 0", "acme.hooks:f", None, "cannot be imported: ZeroDivisionError"),
        ("", "acme.hocks:f", None, "cannot be imported: no Python module 'acme.hocks'"),
        ("", "nowhere.hooks:f", None, "cannot be imported: No module named 'nowhere'"),
        ("", "math:floor", None, "cannot be imported: no Python module 'math'"),
        (
            "from . import b\ndef f(record): return b.f(record)",
            "acme.hooks:f",
            None,
            "it imports a neighbouring module",
        ),
        ("import acme.b\ndef f(record): return record", "acme.hooks:f", None, "it imports acme;"),
        ("def f(record):\n  import gone\n  return record", "acme.hooks:f", None, "it imports gone;"),
        ("def f(record): return record['age']", "acme.hooks:f", None, "raised KeyError: 'age' at the golden request"),
        (
            "def f(record): return [record]",
            "acme.hooks:f",
            None,
            "is not a record with named fields at the golden",
        ),
        ("def f(response, record): return {'p': None}", None, "acme.hooks:f", "'p' is None (NoneType)"),
        (
            "def f(response, record): return {'p': 'high'} if response['label'] else {'p': 0}",
            None,
            "acme.hooks:f",
            "it returns p (integer) for one response, p (text) for another",
        ),
    ],
)
def test_an_unusable_hook_is_refused(
    package: Path, source: str, before: str | None, after: str | None, told: str
) -> None:
    (package / "hooks.py").write_text(source)
    with pytest.raises(HookRefused) as refused:
        found(before, after)
    assert str(before or after) in refused.value.failed
    assert told in refused.value.failed


def test_the_packages_of_a_hook_are_its_imports(package: Path) -> None:
    (package / "hooks.py").write_text("import re, yaml\nfrom scoring import contract\n" + OURS)
    assert found().packages() == {"PyYAML"}
    assert NO_HOOKS.packages() == set()


@pytest.mark.parametrize(
    ("serving", "told"),
    [
        ("postprocess: scoring.hooks.probability_bend:add_band", "no Python module"),
        ("postprocess: scoring.hooks.probability_band:ad_band", "is not a function of"),
        ("postprocess: add_band", "should match pattern"),
        ("preprocess: scoring.hooks.probability_band:add_band", "accepts (response"),
        ("postproces: scoring.hooks.probability_band:add_band", "Did you mean 'postprocess'?"),
    ],
)
def test_a_use_case_with_an_unusable_hook_is_refused(tmp_path: Path, serving: str, told: str) -> None:
    good = (FOLDER / "churn.yml").read_text(encoding="utf-8")
    (tmp_path / "churn.yml").write_text(
        good.replace("  endpoint: churn", f"  endpoint: churn\n  {serving}"), encoding="utf-8"
    )
    with pytest.raises(UseCaseRefused) as refused:
        load("churn", tmp_path)
    assert told in str(refused.value)
