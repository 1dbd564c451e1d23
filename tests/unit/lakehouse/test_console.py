"""Exit codes and console output of commands."""

import errno
import signal
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import pytest
from rich.console import Console

from lakehouse import console, short_names
from lakehouse.console import run_command
from lakehouse.errors import LakehouseError
from training.search.progress import MAX_ERROR, SearchProgress
from training.search.trial import Trial
from training.space.joint_space import Candidate


def ends(act: Callable[[], object]) -> int | str | None:
    """Exit code of a command with this body."""

    @click.command()
    def command() -> None:
        act()

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("sys.argv", ["command"])
        run_command(command)
    return ended.value.code


def raises(error: BaseException) -> Callable[[], object]:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        pytest.param(LakehouseError("it failed", hint="Do [this]."), 1, "Error: it failed\n  Do [this].", id="ours"),
        pytest.param(OSError(errno.ENOSPC, "No space left"), 1, "No space left\n  Free space", id="full disk"),
        pytest.param(PermissionError(errno.EACCES, "Denied", "/x"), 1, "'/x'\n  Free space", id="not allowed"),
        pytest.param(click.UsageError("no such option"), 2, "no such option", id="usage"),
        pytest.param(KeyboardInterrupt("Go on."), 130, "Interrupted. Go on.", id="Ctrl-C with a word"),
        pytest.param(KeyboardInterrupt(), 130, "Interrupted. Finished output remains", id="Ctrl-C"),
        pytest.param(
            RuntimeError("Query interrupted"), 130, "Interrupted. Finished", id="Ctrl-C in a query of DuckDB"
        ),
    ],
)
def test_an_expected_error_is_printed_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    monkeypatch.setattr(console, "ERR", Console(stderr=True, highlight=False, width=200))
    assert ends(raises(error)) == code
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("error", [OSError(errno.EIO, "gone"), ValueError("a defect")])
def test_any_other_error_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error)):
        ends(raises(error))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_stops_a_command_lets_it_clean_up_undisturbed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, number: signal.Signals
) -> None:
    def act() -> None:
        try:
            with TemporaryDirectory(dir=tmp_path):
                signal.raise_signal(number)
        finally:
            signal.raise_signal(signal.SIGTERM)  # a second one, which must not end the cleaning up

    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        assert ends(act) == 128 + number
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert not list(tmp_path.iterdir())
    assert f"Interrupted by {number.name}." in capsys.readouterr().err


def test_a_signal_that_is_ignored_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        assert ends(lambda: signal.raise_signal(signal.SIGHUP)) in {0, None}
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_command_that_ended_leaves_the_signals_as_they_were() -> None:
    before = signal.getsignal(signal.SIGTERM)
    ends(lambda: None)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_program_started_by_its_short_name_names_commands_by_theirs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "OUT", type(console.OUT)(highlight=False, width=200))
    monkeypatch.setattr(console, "ERR", type(console.ERR)(stderr=True, highlight=False, width=200))
    monkeypatch.setattr(short_names, "_SHORT", {})
    said = "Start: python -m deployment.run serve --use-case a"
    console.detail(said)
    short_names.use_short_names({"deployment.run serve": "lakehouse serve", "training.init": "lakehouse init"})
    console.detail(said)
    console.table(["next"], [["python -m training.init a.csv --target b; python -m training.unlisted"]])
    assert ends(raises(LakehouseError("no server", hint=said))) == 1
    assert ends(raises(click.UsageError(said))) == 2
    out, err = capsys.readouterr()
    assert [line.strip() for line in out.splitlines()] == [
        said,
        "Start: lakehouse serve --use-case a",
        "next",
        "lakehouse init a.csv --target b; python -m training.unlisted",
    ]
    assert err.count("Start: lakehouse serve --use-case a") == 2
    assert "python -m deployment" not in err


def test_a_warning_of_a_library_is_one_line_once_for_each_kind(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "ERR", Console(stderr=True, highlight=False, width=200))
    monkeypatch.setattr("sys.warnoptions", [])

    def act() -> None:
        warnings.simplefilter("always")  # as scikit-learn has it for its own
        for members in (1, 2, 2):
            warnings.warn(f"The least populated class has only {members} [members]\nmore", UserWarning, stacklevel=1)
        warnings.warn("no convergence", RuntimeWarning, stacklevel=1)

    assert ends(act) in {0, None}
    assert capsys.readouterr().err.splitlines() == [
        "  note The least populated class has only 1 [members] (UserWarning; shown once)",
        "  note no convergence (RuntimeWarning; shown once)",
    ]


def test_pythons_own_options_keep_its_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.warnoptions", ["error"])
    with pytest.raises(UserWarning, match="a class is rare"):
        ends(lambda: warnings.warn("a class is rare", UserWarning, stacklevel=1))


def test_a_successful_command_exits_with_zero() -> None:
    assert ends(lambda: None) in {0, None}


def printed_lines(patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *trials: float | str) -> list[str]:
    """Lines that a search prints for trials with these scores or errors."""
    patch.setattr("training.search.progress.OUT", Console(highlight=False, width=300))
    with SearchProgress("roc_auc", len(trials)) as progress:
        for number, came in enumerate(trials, start=1):
            metrics, error = ({}, came) if isinstance(came, str) else ({"roc_auc": came}, None)
            progress.add(Trial(number, Candidate("knn", {}), metrics, (), timedelta(0), error))
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if "trial " in line]


def test_progress_prints_each_new_best_trial_and_each_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed_lines(monkeypatch, capsys, 0.7, 0.6, "ValueError: no fit", 0.8) == [
        "trial 1 knn roc_auc 0.7000, best so far",
        "trial 3 knn failed: ValueError: no fit",
        "trial 4 knn roc_auc 0.8000, best so far",
    ]


def test_long_errors_are_cut_to_their_first_line_and_length(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed_lines(
        monkeypatch, capsys, "XGBoostError: no fit\nStack trace:\n  trial [bt] (0) lib.so", "x" * 250
    )
    assert lines == ["trial 1 knn failed: XGBoostError: no fit", f"trial 2 knn failed: {'x' * MAX_ERROR}"]


@pytest.mark.parametrize("error", ["ValueError: no [fit]", "ValueError: expected [/data]"])
def test_markup_in_a_trial_error_is_printed_literally(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: str
) -> None:
    assert printed_lines(monkeypatch, capsys, error) == [f"trial 1 knn failed: {error}"]


@pytest.mark.parametrize("text", ["in /data/[team]/report.html", "in [/data]"])
def test_markup_in_a_detail_is_printed_literally(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    monkeypatch.setattr("training.search.progress.OUT", Console(highlight=False, width=120))
    console.detail(text)
    assert capsys.readouterr().out.strip() == text


def test_markup_in_tables_stages_and_details_is_printed_literally(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "OUT", Console(highlight=False, width=200))
    said = "see [jira-7] and [/tmp]"
    console.table(["reason"], [[said]])
    console.stage(said)
    console.detail(said)
    assert [line.strip(" >") for line in capsys.readouterr().out.splitlines()] == ["reason", said, said, said]
