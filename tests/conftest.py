"""Fixtures that build the project once for all tests that only read it."""

import pytest

from tests.checkout import Checkout


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout after `dbt build`. Tests read its tables and leave them as they are."""
    checkout = Checkout.below(tmp_path_factory.mktemp("built"))
    checkout.run("dbt", "build")
    return checkout
