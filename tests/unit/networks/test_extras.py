"""Use cases that name networks, in an environment without their extra."""

from importlib.machinery import ModuleSpec
from typing import Any

import pytest

from lakehouse.settings import Settings
from tests.contract.people import USE_CASE
from training.models import extras
from training.models.extras import ExtraMissing, require_extras
from training.stages.read import read
from training.use_case.use_case import with_search


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without PyTorch and Keras."""

    def found(name: str) -> ModuleSpec | None:
        return None if name in {"torch", "keras"} else ModuleSpec(name, None)

    monkeypatch.setattr(extras, "find_spec", found)


@pytest.mark.usefixtures("without")
def test_a_search_is_refused_before_it_reads_and_names_extra_and_command() -> None:
    settings: Any = Settings
    with pytest.raises(ExtraMissing) as refused:
        read(with_search(USE_CASE, {"families": ["lightgbm", "mlp"]}), settings)
    assert str(refused.value) == (
        "mlp needs the extra torch (PyTorch), which is not installed\n"
        "  Install it: make torch (or pip install 'lakehouse-ml[torch]'), or name other --families."
    )


@pytest.mark.usefixtures("without")
def test_families_without_an_extra_need_none() -> None:
    require_extras(["lightgbm", "catboost"])
