"""Fixtures of the end-to-end tests."""

from typing import Any

import pytest

from training.use_case.use_case import load


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """Golden request of the use case."""
    return load("term_deposit").golden_request
