"""`lakehouse.build`: dbt's log becomes a summary, and is shown in full if the build fails."""

import json
import signal
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from lakehouse import build, console
from lakehouse.interrupts import StopSignals


def event(name: str, message: str, level: str = "info", **data: object) -> str:
    return json.dumps({"info": {"name": name, "msg": message, "level": level}, "data": data})


LINES = [
    event("MainReportVersion", "Running with dbt=1.11"),
    event("Formatting", ""),
    event("LogStartLine", "1 of 2 START sql table model gold.a", index=1, total=2),
    event("LogModelResult", "1 of 2 OK created sql table model gold.a", index=1, total=2),
    event("LogTestResult", "2 of 2 WARN 3 in_range_a", "warn", index=2, total=2),
    event("FinishedRunningStats", "Finished running 1 table model, 1 data test in 0.5 seconds"),
    event("StatsLine", "Done. PASS=1 WARN=1 ERROR=0 SKIP=0 NO-OP=0 TOTAL=2"),
]


@pytest.fixture
def dbt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in place of dbt; a test writes what it prints and how it exits."""
    program = tmp_path / "dbt"
    monkeypatch.setattr(build, "_dbt", lambda: str(program))
    monkeypatch.setattr(console, "OUT", Console(highlight=False, width=200))
    return program


def prints(program: Path, lines: list[str], code: int) -> None:
    text = "\n".join(lines)
    program.write_text(f"#!{sys.executable}\nimport sys\nprint({text!r})\nprint(sys.argv[1:])\nsys.exit({code})\n")
    program.chmod(0o755)


def test_progress_counts_results_and_not_starts() -> None:
    log, seen = build.BuildLog(), list[tuple[int, int]]()
    log.read(LINES, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    assert (log.done, log.total) == (2, 2)


@pytest.mark.parametrize("verbose", [False, True])
def test_a_signal_to_the_command_interrupts_dbt_too(dbt: Path, tmp_path: Path, verbose: bool) -> None:
    dbt.write_text(
        f"#!{sys.executable}\nimport os, pathlib, signal, sys\n"
        "def end(*_):\n    pathlib.Path(sys.argv[-1]).touch()\n    sys.exit(1)\n"
        "signal.signal(signal.SIGINT, end)\nos.kill(os.getppid(), signal.SIGTERM)\nsignal.pause()\n"
    )
    dbt.chmod(0o755)
    signals = StopSignals()
    try:
        with pytest.raises(KeyboardInterrupt), signals.interrupt():
            build.build([str(tmp_path / "interrupted")], verbose=verbose)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert (tmp_path / "interrupted").exists()


def test_a_successful_build_prints_its_warnings_and_summary_alone(dbt: Path) -> None:
    prints(dbt, LINES, 0)
    result = CliRunner().invoke(build.main, ["--select", "a"])
    assert result.exit_code == 0
    assert [line.strip() for line in result.output.splitlines()] == [
        "> dbt build --select a",
        "2 of 2 WARN 3 in_range_a",
        "Finished running 1 table model, 1 data test in 0.5 seconds",
        "Done. PASS=1 WARN=1 ERROR=0 SKIP=0 NO-OP=0 TOTAL=2",
        "dbt's own log: logs/dbt.log, or --verbose",
    ]


@pytest.mark.parametrize("code", [1, 2])
def test_a_failed_build_prints_the_whole_log_and_keeps_the_exit_code(dbt: Path, code: int) -> None:
    prints(dbt, [*LINES, "Traceback (most recent call last):", "[1, 2]"], code)
    result = CliRunner().invoke(build.main, ["--select", "a"])
    assert result.exit_code == code
    for line in ("1 of 2 OK created sql table model gold.a", "Traceback (most recent call last):", "[1, 2]"):
        assert line in result.output
    assert "['--log-format', 'json', 'build', '--select', 'a']" in result.output


def test_a_verbose_build_is_dbts_own(dbt: Path, capfd: pytest.CaptureFixture[str]) -> None:
    prints(dbt, ["1 of 2 OK"], 0)
    assert build.build(["--select", "a"], verbose=True) == 0
    assert "['build', '--select', 'a']" in capfd.readouterr().out


@pytest.mark.parametrize(
    "error", ["Error during request to server.", "[NO_SUCH_CATALOG_EXCEPTION] Catalog 'produ' ..."]
)
def test_a_sql_warehouse_or_catalog_that_does_not_exist_has_the_next_command(dbt: Path, error: str) -> None:
    prints(dbt, [event("MainEncounteredError", f"Encountered an error:\nDatabase Error\n  {error}", "error")], 2)
    result = CliRunner().invoke(build.main, ["--target", "databricks"])
    assert result.exit_code == 2
    last = result.output.splitlines()[-1].strip()
    assert last == "Check the workspace: python -m deployment.run doctor --target databricks --online"
