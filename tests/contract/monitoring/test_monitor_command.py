"""The command `monitor` on real versions, real Delta tables and an engine."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from deltalake import DeltaTable, write_deltalake
from mlflow.tracking import MlflowClient
from pyspark.errors import PySparkException

from deployment.commands import use_cases
from deployment.commands.monitoring.command import CountingFailed
from deployment.commands.monitoring.follow_up import ActionRefused
from deployment.model_server.process import server_process
from deployment.model_server.request_log.payload_table import append
from deployment.monitoring.output.findings_table import FolderFindings
from deployment.monitoring.payload import NoPayloadTable
from deployment.monitoring.version import NotMonitored
from deployment.monitoring.windows import WindowsRefused
from deployment.run import main
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import Warehouse
from tests.contract.monitoring.live import DAY, LABEL_TABLE, START, TABLE, log_days, write_labels
from tests.contract.people import NAME, USE_CASE, Environment, mlflow_restored
from tests.docs.typed_commands import type_line
from training.use_case.use_case import UseCase

LABELS = {"table": "gold.outcomes", "column": "label", "request_id": "request", "known_at": "known"}
Run = Callable[..., tuple[int, dict[str, Any]]]


def declared(**monitoring: Any) -> UseCase:
    return UseCase.model_validate(USE_CASE.model_dump() | {"monitoring": {"min_rows": 100} | monitoring})


@pytest.fixture
def people(with_champion: Environment, tmp_path: Path) -> Environment:
    return with_champion.copied(tmp_path)


@pytest.fixture
def run(people: Environment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run the command on the first days of November; returns its exit code and JSON, or raises its error."""
    current = {"use_case": declared(), "settings": people.settings}

    def monitor(*arguments: str, days: int = 3, **monitoring: Any) -> tuple[int, dict[str, Any]]:
        webhook = monitoring.pop("webhook", None)
        current["use_case"] = declared(**monitoring)
        settings = people.settings
        current["settings"] = Settings(
            settings.project, settings.warehouse, None, settings.tracking_uri, settings.registry_uri, "http://127.0.0.1:1",
            monitoring_webhook=webhook,
        )  # fmt: skip
        until = START + days * DAY
        period = ("--since", START.isoformat(), "--until", until.isoformat())
        result = CliRunner().invoke(main, ["monitor", "--use-case", NAME, *period, "--json", *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        output = result.stdout[result.stdout.index("{\n") :]
        found, _ = json.JSONDecoder().raw_decode(output)
        return result.exit_code, found

    with mlflow_restored():
        monkeypatch.setattr(use_cases, "load", lambda _name, _folder: current["use_case"])
        monkeypatch.setattr(Settings, "from_environment", classmethod(lambda _cls: current["settings"]))
        monkeypatch.setattr(server_process, "running", lambda _settings: None)
        yield monitor


def kinds(found: Mapping[str, Any], *, confirmed: bool = True) -> set[tuple[str, str]]:
    return {(each["kind"], each["subject"]) for each in found["findings"] if each["confirmed"] or not confirmed}


def test_a_drift_of_two_days_is_an_alert_with_table_report_metrics_and_exit_code(
    run: Run, people: Environment
) -> None:
    log_days(people.warehouse, [0.0, 1.0, 1.0])
    code, found = run()
    assert code == 4
    assert found["action"] == "alert"
    assert found["tested"] == 3
    assert found["payload_table"] == TABLE
    assert ("drift", "height") in kinds(found)
    assert ("drift", "noise") not in kinds(found)
    rows = DeltaTable(people.warehouse / "monitoring/findings").to_pyarrow_table().to_pylist()
    height = [row for row in rows if (row["kind"], row["subject"]) == ("drift", "height")]
    assert [(row["found"], row["confirmed"]) for row in sorted(height, key=lambda row: row["window_start"])] == [
        (False, False), (True, False), (True, True),
    ]  # fmt: skip
    page = Path(found["report"]).read_text(encoding="utf-8")
    (headline,) = re.findall('<p class="headline">(.*)</p>', page)
    assert headline.startswith("Alert: ")
    assert "drift of height" in headline
    exposed = Path(found["report"]).with_suffix(".prom").read_text(encoding="utf-8")
    assert 'monitoring_action{use_case="people",version="2"} 4.0' in exposed
    assert 'monitoring_finding{kind="drift",slice="",subject="height",use_case="people",version="2"} 2.0' in exposed
    client = MlflowClient(people.settings.tracking_uri)
    experiment = client.get_experiment_by_name("people_monitoring")
    assert experiment is not None
    (logged,) = client.search_runs([experiment.experiment_id])
    assert logged.data.tags["action"] == "alert"
    assert len(client.get_metric_history(logged.info.run_id, "psi.height")) == 3
    assert client.list_artifacts(logged.info.run_id, "monitoring")

    code, again = run()  # the same windows replace their rows
    assert (code, again["findings"]) == (4, found["findings"])
    assert len(DeltaTable(people.warehouse / "monitoring/findings").to_pyarrow_table()) == len(rows)


def test_quiet_traffic_and_a_drift_seen_once_recommend_nothing(run: Run, people: Environment) -> None:
    log_days(people.warehouse, [0.0, 0.0, 1.0])
    code, found = run()
    assert (code, found["action"]) == (0, "nothing")
    assert ("drift", "height") in kinds(found, confirmed=False)


def test_late_labels_count_by_the_end_of_the_run_and_a_loss_recommends_retraining(
    run: Run, people: Environment
) -> None:
    requests = log_days(people.warehouse, [0.0, 0.0, 0.0])
    inverted = [(id_, at, probability, 1 - label) for id_, at, probability, label in requests]
    write_labels(people.warehouse, inverted, late=timedelta(hours=36))
    code, found = run(labels=LABELS)
    # By the end of the third day, labels of the first two days are known: the last window has none.
    assert code == 5
    assert found["action"] == "retrain"
    assert found["last_tested_window"] == (START + 2 * DAY).isoformat()
    (lost,) = [each for each in found["findings"] if each["kind"] == "performance"]
    assert lost["window_start"] == (START + DAY).isoformat()
    exposed = Path(found["report"]).with_suffix(".prom").read_text(encoding="utf-8")
    assert (
        'monitoring_finding{kind="performance",slice="",subject="roc_auc",use_case="people",version="2"} 2.0'
        in exposed
    )
    assert run(days=2, labels=LABELS)[0] == 0  # by the end of the second day, those of one
    code, found = run(labels=LABELS, actions={"performance": "roll_back"})
    assert (code, found["action"]) == (6, "roll_back")
    page = Path(found["report"]).read_text(encoding="utf-8")
    assert "measured on labels" in page
    assert "estimated" in page


def test_the_findings_behind_the_action_come_first_in_the_report_and_in_the_alert(
    run: Run, people: Environment
) -> None:
    requests = log_days(people.warehouse, [1.0, 1.0])
    inverted = [(id_, at, probability, 1 - label) for id_, at, probability, label in requests]
    write_labels(people.warehouse, inverted, late=timedelta(hours=1))
    code, found = run(days=2, labels=LABELS, alerts="people.jsonl")
    assert code == 5
    assert {kind for kind, _ in kinds(found)} >= {"performance", "drift"}
    page = Path(found["report"]).read_text(encoding="utf-8")
    rows = re.findall("<tr.*?</tr>", page[page.index("First and marked") :], re.DOTALL)
    marked = [number for number, row in enumerate(rows) if "marked" in row]
    assert marked == [1]  # below the header
    assert "performance" in rows[1]
    alert = json.loads((people.settings.project / "people.jsonl").read_text(encoding="utf-8"))
    assert alert["findings"][0].endswith("(retrain)")


def test_labels_of_unknown_requests_and_labels_before_their_request_are_counted(
    run: Run, people: Environment
) -> None:
    requests = log_days(people.warehouse, [0.0, 0.0, 0.0])
    strangers = [{"request": f"x{number}", "label": 1, "known": START + DAY} for number in range(7)]
    write_labels(people.warehouse, requests[3:], more=[
        *strangers,
        *({"request": id_, "label": 9, "known": at + DAY} for id_, at, _, _ in requests[:2]),
        {"request": requests[2][0], "label": 1, "known": requests[2][1] - timedelta(hours=1)},
    ])  # fmt: skip
    code, found = run(labels=LABELS)
    assert code == 0
    notes = " ".join(found["notes"])
    assert "labels without a request in this period: 7" in notes
    assert "labels that are no class of the version, or no number: 2" in notes
    assert "labels known before their request, which do not count (compare the clocks): 1" in notes
    _, found = run(labels={**LABELS, "column": "label", "known_at": None})
    assert "labels without a request in this period: 7" in " ".join(found["notes"])


def test_each_row_of_the_log_and_of_the_label_table_counts_in_one_place(run: Run, people: Environment) -> None:
    requests = log_days(people.warehouse, [0.0, 0.0, None, 0.0])  # the last day is after the period
    log = people.warehouse / "logs/people_payload"
    rows = DeltaTable(log).to_pyarrow_table().sort_by("request_time").to_pylist()
    tomorrow = datetime.now(UTC) + DAY
    odd: list[dict[str, Any]] = [
        {"request_time": None},
        {"request_time": None, "request_date": None, "served_entity_id": None},
        {"request_time": tomorrow, "request_date": tomorrow.date()},
        {"served_entity_id": "people-1", "client_request_id": "other version"},
        {"request": None, "client_request_id": "no body"},
        {"request": "{", "client_request_id": "no json"},
        {"response": "{}", "client_request_id": "no answer"},
        {"status_code": None, "execution_duration_ms": None, "client_request_id": "no status"},
    ]
    append(log, [{**rows[0], "client_request_id": None, **changes} for changes in odd])
    known = START + DAY
    unusable = ("other version", "no body", "no json", "no answer", "no status")
    more: list[dict[str, Any]] = [
        *({"request": id_, "label": 1, "known": known} for id_ in unusable),
        *({"request": f"x{number}", "label": 1, "known": known} for number in range(7)),
        *({"request": requests[0][0], "label": 1, "known": requests[0][1] + DAY - each * DAY / 4} for each in (1, 2)),
        {"request": "a", "label": None, "known": known},
        {"request": None, "label": 1, "known": known},
        {"request": "b", "label": 1, "known": None},
        {"request": "c", "label": 1, "known": START + 9 * DAY},
        {"request": requests[9][0], "label": 9, "known": requests[9][1] + DAY},
        {"request": requests[8][0], "label": 1, "known": requests[8][1] - timedelta(hours=1)},
    ]
    mine = [each for number, each in enumerate(requests[:800]) if number not in {8, 9}]
    write_labels(people.warehouse, mine, more=more)
    _, found = run(labels=LABELS)
    assert found["rows"] == {
        "in_windows": 800 + 4, "other_versions": 1, "outside_the_windows": 400, "later_than_the_run": 1,
        "without_a_time": 2,
    }  # fmt: skip
    assert sum(found["rows"].values()) == len(rows) + len(odd)
    assert found["labels"] == {
        "counted": 798, "without_a_request": 7, "without_a_prediction": 5, "before_the_request": 1,
        "no_class_or_number": 1, "incomplete": 3, "not_yet_known": 1, "replaced": 2,
    }  # fmt: skip
    assert sum(found["labels"].values()) == len(mine) + len(more)
    notes = " ".join(found["notes"])
    assert "rows without a time, which are in no window: 2" in notes
    assert "requests without a duration: 1" in notes
    assert "labels of requests without a usable prediction of this version: 5" in notes


@pytest.mark.parametrize("key", [{"request_id": "request"}, {"entity": ["noise"], "timestamp": "known"}])
def test_a_label_of_a_request_that_another_version_answered_is_no_unknown_one(
    run: Run, people: Environment, key: dict[str, Any]
) -> None:
    requests = log_days(people.warehouse, [0.0, 0.0], version=1)
    logged = DeltaTable(people.warehouse / "logs/people_payload").to_pyarrow_table().to_pylist()
    noise = [json.loads(row["request"])["dataframe_records"][0]["noise"] for row in logged]
    rows = [
        {"request": row["client_request_id"], "noise": each, "label": 1, "known": row["request_time"] + DAY}
        for row, each in zip(logged, noise, strict=True)
    ]
    schema = pa.schema([*LABEL_TABLE, pa.field("noise", pa.float64())])
    write_deltalake(people.warehouse / "gold/outcomes", pa.Table.from_pylist(rows, schema))
    code, found = run(labels={"table": "gold.outcomes", "column": "label", **key})
    assert (code, len(requests)) == (0, 800)
    assert "rows of other versions than 2: 800" in found["notes"]
    assert "labels without a request" not in " ".join(found["notes"])


def test_labels_by_entity_are_those_of_the_first_row_after_the_request(run: Run, people: Environment) -> None:
    log_days(people.warehouse, [0.0, 0.0, 0.0])
    heights = DeltaTable(people.warehouse / "logs/people_payload").to_pyarrow_table().to_pylist()
    rows = []
    for row in heights:
        noise = json.loads(row["request"])["dataframe_records"][0]["noise"]
        label = int(json.loads(row["response"])["predictions"][0]["probability"] > 0.5)
        rows += [
            {"noise": noise, "at": row["request_time"] - timedelta(days=2), "label": 1 - label},
            {"noise": noise, "at": row["request_time"] + timedelta(hours=2), "label": label},
            {"noise": noise, "at": row["request_time"] + timedelta(days=3), "label": 1 - label},
        ]
    schema = pa.schema([("noise", pa.float64()), ("at", pa.timestamp("us", "UTC")), ("label", pa.int64())])
    write_deltalake(people.warehouse / "gold/outcomes", pa.Table.from_pylist(rows, schema))
    labels = {"table": "gold.outcomes", "column": "label", "entity": ["noise"], "timestamp": "at", "within": "2d"}
    code, found = run(labels=labels)
    assert code == 0
    page = Path(found["report"]).read_text(encoding="utf-8")
    assert page.count(">measured on labels<") == 3
    assert "1.0000" in page


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204 if "good" in self.path else 500)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_alert_goes_once_to_the_file_and_the_webhook(
    run: Run, people: Environment, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    address, received = webhook
    log_days(people.warehouse, [0.0, 1.0, 1.0])
    for _ in range(2):
        assert run(alerts="alerts/people.jsonl", webhook=f"{address}/good")[0] == 4
    lines = (people.settings.project / "alerts/people.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(received) == 1
    assert json.loads(lines[0]) == received[0]
    assert received[0]["action"] == "alert"
    assert "drift of height" in received[0]["text"]
    assert run("--act", alerts="alerts/people.jsonl")[0] == 0


def test_a_webhook_that_fails_keeps_the_alert_in_the_file_and_fails_an_act(
    run: Run, people: Environment, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    log_days(people.warehouse, [0.0, 1.0, 1.0])
    code, _ = run("--act", alerts="people.jsonl", webhook=f"{webhook[0]}/bad?secret=1")
    assert code == 1
    assert (people.settings.project / "people.jsonl").is_file()
    recorded = DeltaTable(people.warehouse / "monitoring/actions").to_pyarrow_table().to_pylist()
    assert [row["outcome"] for row in recorded] == ["the webhook refused the alert with status 500"]
    # The next run tries again, and then no other.
    for _ in range(2):
        assert run("--act", webhook=f"{webhook[0]}/good")[0] == 0
    assert len(webhook[1]) == 2


def test_act_retrains_once_within_the_cooldown(
    run: Run, people: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_days(people.warehouse, [0.0, 1.0, 1.0])
    trained: list[str] = []
    monkeypatch.setattr("training.run.train", lambda use_case, _settings: trained.append(use_case.name))
    monkeypatch.setattr("training.use_case.use_case.load", lambda _name: USE_CASE)
    table = {"actions": {"drift": "retrain"}}
    assert run(**table)[0] == 5
    assert trained == []
    assert run("--act", **table)[0] == 0
    assert run("--act", **table)[0] == 0
    assert trained == [NAME]


def test_act_beside_another_run_that_acts_does_nothing_and_recommends_the_same(
    run: Run, people: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_days(people.warehouse, [0.0, 1.0, 1.0])
    trained: list[str] = []
    monkeypatch.setattr("training.run.train", lambda use_case, _settings: trained.append(use_case.name))
    monkeypatch.setattr("training.use_case.use_case.load", lambda _name: USE_CASE)
    with FolderFindings(Warehouse(people.warehouse)).lock(NAME):
        assert run("--act", actions={"drift": "retrain"}, alerts="people.jsonl")[0] == 5
    assert trained == []
    assert not (people.settings.project / "people.jsonl").exists()


def test_an_action_that_was_killed_is_taken_once_more_and_no_third_time(
    run: Run, people: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_days(people.warehouse, [0.0, 1.0, 1.0])
    trained: list[str] = []

    def killed(use_case: UseCase, _settings: Settings) -> None:
        trained.append(use_case.name)
        raise KeyboardInterrupt

    monkeypatch.setattr("training.run.train", killed)
    monkeypatch.setattr("training.use_case.use_case.load", lambda _name: USE_CASE)
    table = {"actions": {"drift": "retrain"}}
    for _ in range(2):
        assert run("--act", **table)[0] not in {0, 5}
    assert run("--act", **table)[0] == 5
    assert trained == [NAME, NAME]
    recorded = DeltaTable(people.warehouse / "monitoring/actions").to_pyarrow_table().sort_by("at").to_pylist()
    assert [row["outcome"] for row in recorded if row["action"] == "retrain"] == ["started", "started again"]


def test_an_action_that_failed_is_recorded_and_stays_open(
    run: Run, people: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_days(people.warehouse, [0.0, 1.0, 1.0])

    def fails(_use_case: UseCase, _settings: Settings) -> None:
        raise LakehouseError("no disk space")

    monkeypatch.setattr("training.run.train", fails)
    monkeypatch.setattr("training.use_case.use_case.load", lambda _name: USE_CASE)
    table = {"actions": {"drift": "retrain"}}
    with pytest.raises(LakehouseError, match="no disk space"):
        run("--act", **table)
    recorded = DeltaTable(people.warehouse / "monitoring/actions").to_pyarrow_table().sort_by("at").to_pylist()
    assert [row["outcome"] for row in recorded if row["action"] == "retrain"] == ["started", "failed: no disk space"]
    assert run("--act", **table)[0] == 5  # not again within the cooldown, and not done


def test_act_rolls_back_with_a_reason_that_the_ledger_holds(run: Run, people: Environment) -> None:
    log_days(people.warehouse, [0.0, 3.0, 3.0])
    kinds = ("drift", "prediction_drift", "out_of_range", "latency")
    code, found = run("--act", max_p99_ms=1, actions=dict.fromkeys(kinds, "roll_back"))
    assert (code, found["action"]) == (0, "roll_back")
    ledger = DeltaTable(people.warehouse / "deployment/ledger").to_pyarrow_table().to_pylist()
    (reason,) = [entry["reason"] for entry in ledger if entry["action"] == "rolled_back"]
    assert len(reason) == 300


def test_act_rolls_back_no_other_version_than_the_monitored_one(run: Run, people: Environment) -> None:
    log_days(people.warehouse, [0.0, 1.0, 1.0], version=3)
    with pytest.raises(ActionRefused, match="version 3 of people is not rolled back: the champion is 2"):
        run("--act", "--version", "3", actions={"prediction_drift": "roll_back"})
    aliases = MlflowClient(people.settings.tracking_uri).get_registered_model(NAME).aliases
    assert int(aliases["champion"]) == 2
    result = CliRunner().invoke(main, ["monitor", "--use-case", NAME, "--act", "--all-versions"])
    assert result.exit_code == 2
    assert "--act judges one version" in result.output


def test_act_rolls_back_by_the_gate_with_the_finding_as_the_reason(run: Run, people: Environment) -> None:
    log_days(people.warehouse, [0.0, 1.0, 1.0])
    code, found = run("--act", actions={"prediction_drift": "roll_back"})
    assert (code, found["action"]) == (0, "roll_back")
    aliases = MlflowClient(people.settings.tracking_uri).get_registered_model(NAME).aliases
    assert int(aliases["champion"]) == 1
    ledger = DeltaTable(people.warehouse / "deployment/ledger").to_pyarrow_table().to_pylist()
    (rolled_back,) = [entry for entry in ledger if entry["action"] == "rolled_back"]
    assert rolled_back["reason"].startswith("monitoring: drift of predictions")
    # The version before has no such traffic: nothing follows.
    code, found = run("--act", actions={"prediction_drift": "roll_back"})
    assert (code, found["action"], found["version"]) == (0, "nothing", 1)
    assert "rows of other versions than 1: 1,200" in found["notes"]


def test_an_empty_window_is_told_and_neither_confirms_nor_ends_a_finding(run: Run, people: Environment) -> None:
    log_days(people.warehouse, [1.0, None, 1.0])
    code, found = run()
    assert code == 4
    assert found["tested"] == 2
    assert "empty windows, which are not tested and neither confirm nor end a finding: 1" in found["notes"]


def test_without_any_row_in_the_period_nothing_is_tested(run: Run, people: Environment) -> None:
    log_days(people.warehouse, [0.0])
    code, found = run("--since", "2026-11-20", "--until", "2026-11-22")
    assert (code, found["tested"], found["last_tested_window"]) == (0, 0, None)


def test_the_lines_of_the_page_monitor_the_last_days_or_hours(run: Run, people: Environment) -> None:
    log_days(people.warehouse, [0.0])
    run()  # of the same use case
    churn = {"churn": NAME}
    assert "window" in type_line("python -m deployment.run monitor --use-case churn", churn)
    type_line("python -m deployment.run monitor --use-case churn --since 48h --window 1h", churn)
    type_line("python -m deployment.run monitor --use-case churn --act", churn)


@pytest.mark.parametrize(
    ("arguments", "monitoring", "message"),
    [
        ((), {}, "no payload table"),
        (("--table", "gold.bodies"), {}, "gold.bodies is no payload table: it has no column request_time"),
        (("--version", "9"), {}, "people has no version 9; it has 1, 2, 3, 4"),
        (("--table", TABLE), {"slices": ["noise"]}, "has no counts within noise"),
        (("--since", "1h"), {}, "no window of 1 d ends"),
    ],
)
def test_wrong_input_is_refused_in_a_sentence(
    run: Run, people: Environment, arguments: tuple[str, ...], monitoring: dict[str, Any], message: str
) -> None:
    if TABLE in arguments:
        log_days(people.warehouse, [0.0])
    with pytest.raises((NoPayloadTable, NotMonitored, WindowsRefused), match=message):
        run(*arguments, **monitoring)


def test_a_label_table_without_the_column_or_without_the_table_is_refused(run: Run, people: Environment) -> None:
    log_days(people.warehouse, [0.0])
    with pytest.raises(LakehouseError, match=r"gold\.outcomes is not in the warehouse"):
        run(labels=LABELS)
    write_labels(people.warehouse, [])
    with pytest.raises(LakehouseError, match=r"label table gold\.outcomes has no column answer"):
        run(labels={**LABELS, "column": "answer"})


def test_workers_without_the_project_are_reported_with_the_remedy() -> None:
    reason = PySparkException("[PYTHON_EXCEPTION] worker failed\nModuleNotFoundError: No module named 'deployment'")
    failed = CountingFailed.because(NAME, reason)
    assert failed.failed.endswith("[PYTHON_EXCEPTION] worker failed (No module named 'deployment')")
    assert "docs/monitoring.md" in str(failed.hint)
    assert "doctor" in str(CountingFailed.because(NAME, PySparkException("no memory")).hint)


@pytest.mark.parametrize(
    "option", [("--since", "yesterday"), ("--window", "1 day"), ("--window", "0d"), ("--since", "9999999d")]
)
def test_wrong_options_are_usage_errors(option: tuple[str, str]) -> None:
    result = CliRunner().invoke(main, ["monitor", "--use-case", NAME, *option])
    assert result.exit_code == 2
    assert "examples:" in result.output


def test_a_version_of_before_monitoring_is_refused_with_the_next_command(tracking_uri: str, tmp_path: Path) -> None:
    from deployment.monitoring.version import monitored_version
    from training.tracking import tracking

    settings = Settings(tmp_path, tmp_path, None, tracking_uri, tracking_uri, "")
    with mlflow_restored(), tracking(settings) as client, pytest.raises(NotMonitored) as refused:
        monitored_version(client, "term_deposit", 1)
    assert "has no population to compare traffic with" in str(refused.value)
    assert "python -m training.run --use-case term_deposit" in str(refused.value)


def test_a_version_has_its_population_after_registration(people: Environment) -> None:
    from deployment.monitoring.version import monitored_version
    from training.tracking import tracking

    with mlflow_restored(), tracking(people.settings) as client:
        version = monitored_version(client, NAME, None)
    assert version.number == 2
    assert set(version.population.inputs) == {"height", "noise"}
    assert version.population.outcomes.sum() == 120


def test_an_inference_table_of_before_the_ai_gateway_gives_the_same_counts(people: Environment) -> None:
    from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

    from deployment.monitoring import payload

    log_days(people.warehouse, [0.0, 1.0])
    rows = people.store().rows(TABLE)
    columns = {
        "timestamp_ms": (F.unix_micros("request_time") / 1000).cast("long"),
        "date": F.col("request_date"),
        "execution_time_ms": F.col("execution_duration_ms"),
    }
    same = [F.col(name) for name in ("status_code", "sampling_fraction", "request", "response", "client_request_id")]
    legacy = rows.select(*same, *(column.alias(name) for name, column in columns.items()))
    read = [payload.exchanges(each, TABLE, START + DAY) for each in (rows, legacy)]
    assert [each.columns for each in read] == [list(payload.COLUMNS)] * 2
    now, before = (each.drop("served").orderBy("at").toPandas() for each in read)
    assert len(now) == 400
    assert now.equals(before)


def test_ids_of_served_entities_in_a_workspace_come_from_the_system_table() -> None:
    from deployment.monitoring.version import workspace_ids
    from lakehouse.session import open_session

    session = open_session()
    rows = [("a1", "main.models.people", "2"), ("b2", "main.models.people", "3"), ("a1", "main.models.people", "2")]
    table = session.createDataFrame(rows, "served_entity_id string, entity_name string, entity_version string")

    class Workspace:
        def table(self, name: str) -> Any:
            assert name == "system.serving.served_entities"
            return table

    def ids(number: int) -> frozenset[str]:
        workspace: Any = Workspace()
        return workspace_ids(workspace, "main.models.people", number)

    assert ids(2) == {"a1"}
    assert ids(9) == {"never served: version 9"}
