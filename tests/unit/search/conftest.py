"""Fixtures of the tests of a search."""

from typing import Any

import pytest


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Params that a search logs."""
    params: dict[str, Any] = {}
    monkeypatch.setattr("training.stages.search.mlflow.log_params", params.update)
    # Without a run, MLflow would start one and leave it active for the tests that follow.
    monkeypatch.setattr("training.stages.search.mlflow.set_tag", lambda *_tag: None)
    return params
