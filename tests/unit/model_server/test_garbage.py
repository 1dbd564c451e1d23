"""Loaded models are left out of garbage collections, and those that are no longer served are still found."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from deployment.model_server.models.load_log import LoadLog
from deployment.model_server.models.loader import ModelNotLoaded
from deployment.model_server.process.garbage import exclude_loaded
from tests.unit.model_server.in_process import FakeRegistry


class Cycle:
    """An object that only a collection can free."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def _unfrozen() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_objects_of_before_are_excluded_until_the_next_call() -> None:
    model = Cycle()
    served = weakref.ref(model)
    exclude_loaded()
    assert gc.get_freeze_count() > 1000
    del model
    gc.collect()
    assert served() is not None
    exclude_loaded()
    assert served() is None


def test_objects_are_excluded_after_each_load_that_succeeds() -> None:
    loads: list[str] = []
    load = LoadLog(FakeRegistry(), lambda: 0.0, lambda: loads.append("excluded"))
    load("m", "1")
    with pytest.raises(ModelNotLoaded):
        load("broken", "1")
    load("m", "2")
    assert loads == ["excluded"] * 2
