"""`training.maintenance`: tables that registered versions need stay as they were, and everything else goes."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from mlflow.entities import RunStatus
from mlflow.tracking import MlflowClient

from deployment.gate import holdout
from deployment.ledger.folder import FolderLedger
from deployment.model_server.request_log import payload_table
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from lakehouse.tables.vacuum import FolderSize
from lakehouse.tables.warehouse import Warehouse
from lakehouse.tables.writer_lock import WarehouseBusy, WriterLock
from tests.contract.databases import new_database
from tests.contract.people import NAME, ROWS, USE_CASE, mlflow_restored, write_tables
from tests.ports import free_port
from training.feature_store.home import open_store
from training.frame import splits
from training.frame.lineage import rebuild
from training.frame.provenance import SOURCES, Provenance
from training.maintenance import Duration
from training.retention.maintain import TablesNotMaintained, maintain
from training.retention.needed import RegistryUnread, needed_versions
from training.run import train
from training.tracking import TrackingFailed, experiment_id, tracking
from training.tracking.searches import PREFIX
from training.use_case.use_case import with_search

CASE = with_search(USE_CASE, {"families": ["logistic_regression"], "max_evals": 1, "blend": 0, "seed": 4})
NOTHING = timedelta(0)


def rebuild_tables(root: Path, times: int) -> None:
    """Overwrite both tables with other rows, as many times as a schedule would."""
    for number in range(times):
        for table in ("gold/labels", "gold/bodies"):
            rows = DeltaTable(root / table).to_pyarrow_table()
            changed = "label" if table == "gold/labels" else "noise"
            values = np.random.default_rng(number).permutation(rows[changed].to_numpy())
            rows = rows.set_column(rows.column_names.index(changed), changed, pa.array(values))
            write_deltalake(root / table, rows, mode="overwrite")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Two versions of `people`, each followed by three rebuilds of its tables."""
    folder = tmp_path_factory.mktemp("people")
    write_tables(folder / "warehouse")
    uri = new_database(folder)
    settings = Settings(folder, folder / "warehouse", None, uri, uri, "")
    with mlflow_restored(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.stages.report.write_report", lambda *_: None)
        for _ in range(2):
            train(CASE, settings)
            rebuild_tables(settings.warehouse, 3)
    yield settings


@pytest.fixture
def settings(template: Settings, tmp_path: Path) -> Settings:
    shutil.copytree(template.warehouse, tmp_path / "warehouse")
    shutil.copy(template.project / "mlflow.db", tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    return replace(template, project=tmp_path, warehouse=tmp_path / "warehouse", tracking_uri=uri, registry_uri=uri)


@pytest.fixture
def client(settings: Settings) -> Iterator[MlflowClient]:
    with mlflow_restored(), tracking(settings) as ours:
        yield ours


@dataclass(frozen=True)
class Fingerprints:
    """Hashes of the rows that a version was trained and is evaluated on."""

    training: str
    holdout: str

    @classmethod
    def of(cls, client: MlflowClient, settings: Settings, version: str) -> "Fingerprints":
        registered, store = client.get_model_version(NAME, version), open_store(settings)
        parts = splits.split(rebuild(CASE, store, client, str(registered.run_id)), CASE.split)
        gate = holdout.rebuild(CASE, registered, store)
        assert (
            gate.fingerprint
            == parts.holdout.fingerprint()
            == Provenance.from_tags(registered.tags).holdout_fingerprint
        )
        return cls(parts.training.fingerprint(), gate.fingerprint)


def run(settings: Settings, *names: str, retain: timedelta = NOTHING, dry_run: bool = False) -> None:
    maintain(settings, names, retain, dry_run=dry_run)


def bytes_of(settings: Settings) -> int:
    return FolderSize.below(settings.warehouse / "gold").size


def files_of(settings: Settings) -> set[Path]:
    return {file for file in (settings.warehouse / "gold").rglob("*") if file.is_file()}


def test_training_frame_and_holdout_of_every_version_stay_exactly(
    settings: Settings, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    before, fingerprints = bytes_of(settings), [Fingerprints.of(client, settings, each) for each in "12"]
    run(settings)
    output = capsys.readouterr().out
    assert bytes_of(settings) < before
    assert [Fingerprints.of(client, settings, each) for each in "12"] == fingerprints
    assert "gold.labels v0 is kept for version 1 of people" in output
    assert "gold.labels v3 is kept for version 2 of people" in output
    assert "gold.bodies v4 is kept for version 2 of people" in output
    assert f"2 tables: {(before - bytes_of(settings)) / 1e6:,.1f} MB freed" in output
    assert DeltaTable(settings.warehouse / "gold/labels").to_pyarrow_table().num_rows == ROWS
    for lost in (1, 2, 4, 5):
        with pytest.raises(FileNotFoundError):
            DeltaTable(settings.warehouse / "gold/labels", version=lost).to_pyarrow_table()


def test_a_deleted_version_frees_its_delta_versions(
    settings: Settings, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    run(settings)
    kept, second = bytes_of(settings), Fingerprints.of(client, settings, "2")
    client.delete_model_version(NAME, "1")
    run(settings)
    assert bytes_of(settings) < kept
    assert "version 1 of people" not in capsys.readouterr().out.split("2 tables")[-1]
    assert Fingerprints.of(client, settings, "2") == second
    client.delete_registered_model(NAME)
    run(settings)
    assert [len(DeltaTable(settings.warehouse / f"gold/{name}").file_uris()) for name in ("labels", "bodies")] == [
        len(list((settings.warehouse / f"gold/{name}").glob("*.parquet"))) for name in ("labels", "bodies")
    ]


def test_the_ledger_stays_as_it_is(settings: Settings) -> None:
    ledger = FolderLedger(Warehouse(settings.warehouse))
    for number in range(20):
        ledger.add({"number": number, "use_case": NAME})
    before = FolderSize.below(settings.warehouse / "deployment")
    run(settings)
    assert FolderSize.below(settings.warehouse / "deployment") == before


@pytest.mark.parametrize("retain", [timedelta(days=7), timedelta(hours=1)])
def test_what_was_the_newest_version_within_the_retention_stays(settings: Settings, retain: timedelta) -> None:
    before = files_of(settings)
    run(settings, retain=retain)
    assert files_of(settings) == before


def test_a_dry_run_deletes_nothing_and_predicts_the_sizes(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(settings)
    run(settings, dry_run=True)
    predicted = capsys.readouterr().out
    assert files_of(settings) == before
    run(settings)
    assert predicted.replace("would be freed", "freed") == capsys.readouterr().out


def test_a_running_search_keeps_its_tables(
    settings: Settings, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = experiment_id(client, settings, NAME)
    search = client.create_run(experiment, tags={f"{PREFIX}tables": json.dumps({"gold.labels": 5})})
    run(settings, "gold.labels")
    assert f"gold.labels v5 is kept for running search {search.info.run_id[:8]} of people" in capsys.readouterr().out
    assert DeltaTable(settings.warehouse / "gold/labels", version=5).to_pyarrow_table().num_rows == ROWS
    client.set_terminated(search.info.run_id, RunStatus.to_string(RunStatus.KILLED))
    run(settings, "gold.labels")
    with pytest.raises(FileNotFoundError):
        DeltaTable(settings.warehouse / "gold/labels", version=5).to_pyarrow_table()


def test_a_table_that_cannot_be_read_is_named_and_blocks_no_other(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = settings.warehouse / "gold/bodies/_delta_log" / f"{7:020}.json"
    broken.write_text('{"add": ', encoding="utf-8")
    bodies = {file for file in files_of(settings) if "bodies" in file.parts}
    with pytest.raises(TablesNotMaintained, match=r"1 table not maintained:\n  gold\.bodies: "):
        run(settings)
    assert bodies <= files_of(settings)
    assert "1 table: " in capsys.readouterr().out
    with pytest.raises(FileNotFoundError):
        DeltaTable(settings.warehouse / "gold/labels", version=4).to_pyarrow_table()


@pytest.mark.parametrize(
    ("registry", "error"),
    [
        ("http://127.0.0.1:{port}", TrackingFailed),
        ("sqlite:///{folder}/other.db", RegistryUnread),
        ("sqlite:///{folder}/damaged.db", TrackingFailed),
    ],
)
def test_nothing_is_deleted_if_the_registry_cannot_be_read(
    settings: Settings, registry: str, error: type[LakehouseError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (settings.project / "damaged.db").write_bytes(b"not a database" * 100)
    uri = registry.format(port=free_port(), folder=settings.project)
    before = files_of(settings)
    with mlflow_restored(), pytest.raises(error):
        run(replace(settings, tracking_uri=uri, registry_uri=uri))
    assert files_of(settings) == before
    assert not (settings.project / "other.db").exists()


@pytest.mark.parametrize("sources", [None, "", "[1]", '{"gold.labels": "newest"}'])
def test_nothing_is_deleted_if_a_version_does_not_tell_its_tables(
    settings: Settings, client: MlflowClient, sources: str | None
) -> None:
    if sources is None:
        client.delete_model_version_tag(NAME, "1", SOURCES[0])
    else:
        client.set_model_version_tag(NAME, "1", SOURCES[0], sources)
    before = files_of(settings)
    with pytest.raises(RegistryUnread, match="the tables that version 1 of people needs are unknown"):
        run(settings)
    assert files_of(settings) == before


@pytest.mark.parametrize("key", SOURCES)
def test_tables_of_versions_of_an_earlier_release_are_needed(
    settings: Settings, client: MlflowClient, key: str
) -> None:
    tag = client.get_model_version(NAME, "1").tags[SOURCES[0]]
    client.delete_model_version_tag(NAME, "1", SOURCES[0])
    client.set_model_version_tag(NAME, "1", key, tag)
    assert needed_versions(settings, NOTHING)["gold.labels"][0] == ("version 1 of people",)


def test_a_version_of_another_tool_needs_no_table(settings: Settings, client: MlflowClient) -> None:
    client.create_registered_model("foreign")
    client.create_model_version("foreign", source="s3://elsewhere")
    assert needed_versions(settings, NOTHING) == {
        "gold.bodies": {1: ("version 1 of people",), 4: ("version 2 of people",)},
        "gold.labels": {0: ("version 1 of people",), 3: ("version 2 of people",)},
    }


def test_a_version_that_was_already_lost_is_named(
    settings: Settings, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    client.set_model_version_tag(NAME, "1", SOURCES[0], json.dumps({"gold.labels": 99}))
    run(settings, "gold.labels")
    assert "gold.labels v99 was already lost; it was read by version 1 of people" in capsys.readouterr().out


def test_a_second_writer_is_refused_before_anything_is_deleted(settings: Settings) -> None:
    before = files_of(settings)
    lock = WriterLock.on(settings.warehouse)
    try:
        with pytest.raises(WarehouseBusy):
            run(settings)
        run(settings, dry_run=True)
    finally:
        lock.release()
    assert files_of(settings) == before


def test_drafts_of_killed_builds_are_deleted(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    draft = settings.warehouse / ".drafts" / "gold" / "labels" / "part.parquet"
    draft.parent.mkdir(parents=True)
    draft.write_bytes(bytes(300_000))
    run(settings)
    assert not draft.exists()
    assert "drafts of killed builds: 0.3 MB freed" in capsys.readouterr().out


def test_the_rows_of_a_payload_table_stay_in_fewer_files(settings: Settings) -> None:
    table = settings.warehouse / "payloads" / "people_payload"
    for number in range(20):
        exchange = payload_table.Exchange(f"request {number}", datetime(2026, 1, 1, tzinfo=UTC).timestamp())
        payload_table.append(table, [exchange.row()])
    rows = sorted(map(str, DeltaTable(table).to_pyarrow_table().to_pylist()))
    run(settings, "payloads.people_payload")
    assert sorted(map(str, DeltaTable(table).to_pyarrow_table().to_pylist())) == rows
    assert len(list(table.glob("*.parquet"))) == 1
    payload_table.append(table, [payload_table.Exchange("later", 0.0).row()])
    assert DeltaTable(table).to_pyarrow_table().num_rows == 21


class Killed(BaseException):
    """The end of the process."""


@pytest.mark.parametrize("deletions", [0, 1, 3])
def test_a_killed_run_keeps_every_needed_version_and_the_next_one_ends_it(
    settings: Settings, client: MlflowClient, deletions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprints = [Fingerprints.of(client, settings, each) for each in "12"]
    original, left = Path.unlink, [deletions]

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".parquet" and not left[0]:
            raise Killed
        left[0] -= path.suffix == ".parquet"
        original(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        with pytest.raises(Killed):
            run(settings)
    assert [Fingerprints.of(client, settings, each) for each in "12"] == fingerprints
    run(settings)
    assert [Fingerprints.of(client, settings, each) for each in "12"] == fingerprints
    assert {len(list((settings.warehouse / f"gold/{name}").glob("*.parquet"))) for name in ("labels", "bodies")} == {
        3
    }


@pytest.mark.parametrize(("text", "expected"), [("7d", {"days": 7}), ("36h", {"hours": 36}), ("0", {}), ("0d", {})])
def test_a_duration_is_days_or_hours(text: str, expected: dict[str, int]) -> None:
    assert Duration().convert(text, None, None) == timedelta(**expected)


@pytest.mark.parametrize("text", ["7", "7 days", "-1d", "1w", ""])
def test_another_duration_is_refused(text: str) -> None:
    with pytest.raises(Exception, match="is not a number of days or hours"):
        Duration().convert(text, None, None)
