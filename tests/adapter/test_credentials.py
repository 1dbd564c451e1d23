"""Copies of the credentials, which dbt makes at random while it parses, behave like the original."""

import random
from copy import deepcopy
from pathlib import Path

import pytest
from dbt.adapters.embedded.connections import EmbeddedCredentials
from dbt.parser import models

from lakehouse.tables.writer_lock import WarehouseBusy
from tests.adapter.project import Project

SAMPLED = 5000  # the one number of 5001 at which dbt also parses a copy of the model


@pytest.fixture
def credentials(tmp_path: Path) -> EmbeddedCredentials:
    return EmbeddedCredentials(schema="gold", warehouse=str(tmp_path / "warehouse"))


def test_a_model_that_dbt_samples_and_parses_twice_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[models.ModelParser] = []
    copy = models.ModelParser.partial_deepcopy

    def record_copy(parser: models.ModelParser) -> models.ModelParser:
        copied.append(copy(parser))
        return copied[-1]

    monkeypatch.setattr(random, "randint", lambda _low, _high: SAMPLED)
    monkeypatch.setattr(models.ModelParser, "partial_deepcopy", record_copy)
    project = Project.below(tmp_path, {"models/one.sql": "select 1 as id"})
    project.dbt("run")
    assert len(copied) == 1
    assert project.rows("gold.one") == [{"id": 1}]


def test_copies_share_the_session_and_the_writer_lock(credentials: EmbeddedCredentials) -> None:
    before = deepcopy(credentials)
    session = credentials.session()
    after = deepcopy(credentials)
    assert before.session() is after.session() is session
    other = EmbeddedCredentials(schema="gold", warehouse=credentials.warehouse)
    with pytest.raises(WarehouseBusy):
        other.session()
    after.release()
    assert other.session() is session
    other.release()
