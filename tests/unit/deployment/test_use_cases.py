"""Use-case files as the commands read them: also an invalid one has an endpoint."""

from pathlib import Path

import pytest
import yaml

from deployment.commands import use_cases
from tests.contract.people import NAME, USE_CASE
from training.use_case.use_case import UseCaseRefused

DECLARED = yaml.safe_dump(USE_CASE.model_dump(mode="json", exclude_unset=True))
AMBIGUOUS = DECLARED + "countries: [NO, DE]\n"  # YAML reads NO as false


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(use_cases, "FOLDER", tmp_path)
    (tmp_path / f"{NAME}.yml").write_text(DECLARED)
    return tmp_path


def test_an_endpoint_that_a_file_with_an_ambiguous_value_declares_too_is_refused(folder: Path) -> None:
    assert use_cases.load_to_serve(NAME) == USE_CASE
    (folder / "weather.yml").write_text(AMBIGUOUS.replace(f"name: {NAME}", "name: weather"))
    with pytest.raises(use_cases.EndpointDeclaredTwice, match=f"'{NAME}' is declared by {NAME}.yml and weather.yml"):
        use_cases.load_to_serve(NAME)


def test_a_rollback_needs_only_the_endpoint_of_a_file_with_an_ambiguous_value(folder: Path) -> None:
    (folder / f"{NAME}.yml").write_text(AMBIGUOUS)
    with pytest.raises(UseCaseRefused):
        use_cases.load_to_serve(NAME)
    assert use_cases.load_for_emergency(NAME).serving.endpoint == NAME
