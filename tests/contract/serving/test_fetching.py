"""Fetching the files of a version: reading the registry directly and through MLflow gives the same result."""

import sqlite3
from pathlib import Path
from urllib.parse import quote

import pytest
from mlflow import MlflowClient

from deployment.model_server.models import local_registry
from deployment.model_server.models.fetching import VersionCache
from scoring.digest import DIGEST, digest


def version_cache(tracking_uri: str, folder: Path) -> VersionCache:
    return VersionCache(folder, tracking_uri, tracking_uri, allow_unverified=False)


def test_a_local_version_equals_the_version_that_mlflow_returns(tracking_uri: str) -> None:
    expected = MlflowClient(tracking_uri, tracking_uri).get_model_version("term_deposit", "1")
    found = local_registry.find(tracking_uri, "term_deposit", "1")
    assert found is not None
    assert (found.tags, found.registered) == (expected.tags, expected.creation_timestamp / 1000)
    assert digest(found.files) == expected.tags[DIGEST]


def test_fetching_with_and_without_mlflow_gives_the_same_files(
    tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct = version_cache(tracking_uri, tmp_path / "direct")
    files = direct.fetch("term_deposit", "1")
    monkeypatch.setattr(local_registry, "find", lambda *_: None)
    through_mlflow = version_cache(tracking_uri, tmp_path / "mlflow")
    mlflow_files = through_mlflow.fetch("term_deposit", "1")
    assert digest(files) == digest(mlflow_files)
    assert direct.registered_at(files) == through_mlflow.registered_at(mlflow_files)
    assert direct.cached("term_deposit", "1") == files


@pytest.mark.parametrize(
    ("uri", "version"),
    [
        ("http://127.0.0.1:1", "1"),
        ("sqlite:///relative.db", "1"),
        ("sqlite:////nowhere/mlflow.db", "1"),
        ("REGISTRY", "99"),
        ("REGISTRY", "1 or 1=1"),
        ("REGISTRY?timeout=1", "1"),
    ],
)
def test_registries_that_need_mlflow_return_none(tracking_uri: str, uri: str, version: str) -> None:
    assert local_registry.find(uri.replace("REGISTRY", tracking_uri), "term_deposit", version) is None


def registry_of(folder: Path, location: str, stage: str = "None") -> str:
    path = folder / "registry.db"
    with sqlite3.connect(path) as registry:
        registry.execute(
            "create table model_versions (name, version, creation_time, storage_location, source, current_stage)"
        )
        registry.execute("create table model_version_tags (name, version, key, value)")
        registry.execute("insert into model_versions values ('m', 1, 5000, null, ?, ?)", (location, stage))
    registry.close()
    return f"sqlite:///{path}"


def test_files_are_found_by_path_and_by_file_uri(tmp_path: Path) -> None:
    folder = tmp_path / "ä b"
    folder.mkdir()
    for location in (str(folder), f"file://{quote(str(folder))}"):
        place = tmp_path / str(len(location))
        place.mkdir()
        found = local_registry.find(registry_of(place, location), "m", "1")
        assert found == local_registry.LocalVersion({}, 5.0, folder)


@pytest.mark.parametrize(
    ("location", "stage"),
    [("s3://bucket/m", "None"), ("models:/m-1", "None"), ("file:///nowhere", "None"), ("/", "Deleted_Internal")],
)
def test_a_deleted_or_remote_version_is_not_found(tmp_path: Path, location: str, stage: str) -> None:
    assert local_registry.find(registry_of(tmp_path, location, stage), "m", "1") is None


@pytest.mark.parametrize(
    "note",
    ["[]", "", '{"registered": "1", "digest": "x"}', '{"registered": 1}', '{"registered": NaN, "digest": "x"}'],
)
def test_a_damaged_note_of_a_version_is_named_and_its_files_are_fetched_again(
    tracking_uri: str, tmp_path: Path, note: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = version_cache(tracking_uri, tmp_path)
    files = cache.fetch("term_deposit", "1")
    path = files.with_name(f"{files.name}.json")
    path.write_text(note)
    assert cache.cached("term_deposit", "1") is None
    assert str(path) in caplog.text
    assert cache.registered_at(cache.fetch("term_deposit", "1")) > 0
