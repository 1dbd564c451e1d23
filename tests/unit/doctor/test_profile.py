"""dbt's profile and the credentials of a workspace, without a request."""

from pathlib import Path

import pytest

from deployment.commands.doctor.credentials import check_credentials, read_configuration
from deployment.commands.doctor.finding import Severity
from deployment.commands.doctor.profile import (
    ProfileRefused,
    check_workspace_profile,
    read_target,
)
from lakehouse.settings import PROJECT

HTTP_PATH = "/sql/1.0/warehouses/abc123"


def messages(environment: dict[str, str]) -> list[str]:
    return [each.message for each in check_workspace_profile(read_target(PROJECT, "databricks", environment))]


def test_an_unset_host_and_warehouse_are_named() -> None:
    assert messages({}) == [
        "DATABRICKS_HOST is not set, so that dbt has no workspace.",
        "DATABRICKS_HTTP_PATH is not set, so that dbt has no SQL warehouse.",
    ]


def test_a_path_that_names_no_warehouse_is_refused() -> None:
    path = "/sql/1.0/warehouses/"
    assert messages({"DATABRICKS_HOST": "acme.cloud.databricks.com", "DATABRICKS_HTTP_PATH": path}) == [
        f"DATABRICKS_HTTP_PATH is {path}, which names no SQL warehouse."
    ]


def test_a_complete_profile_is_ok() -> None:
    environment = {"DATABRICKS_HOST": "acme.cloud.databricks.com", "DATABRICKS_HTTP_PATH": HTTP_PATH}
    assert messages(environment) == [f"dbt uses the SQL warehouse {HTTP_PATH} of acme.cloud.databricks.com."]


def test_a_target_that_the_profile_lacks_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("profile: mine\n")
    (tmp_path / "profiles.yml").write_text("mine: {outputs: {databrick: {type: databricks}}}\n")
    with pytest.raises(ProfileRefused, match=r"has no target 'databricks'. Did you mean 'databrick'\?"):
        read_target(tmp_path, "databricks", {})


def test_a_token_in_the_profile_and_a_variable_without_a_value_are_named(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("profile: mine\n")
    profile = "mine: {outputs: {dev: {host: acme.example.com, http_path: %s, token: \"{{ env_var('DAPI') }}\"}}}\n"
    (tmp_path / "profiles.yml").write_text(profile % HTTP_PATH)
    with pytest.raises(ProfileRefused, match="the profile needs the variable DAPI"):
        read_target(tmp_path, "dev", {})
    (found,) = check_workspace_profile(read_target(tmp_path, "dev", {"DAPI": "x"}))
    assert (found.severity, found.message) == (
        Severity.WARNING,
        "dbt signs in with a personal access token, not with OAuth.",
    )


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Variables of a machine without credentials. The host does not exist, so that a request would fail."""
    for name in ("HOST", "TOKEN", "CLIENT_ID", "CLIENT_SECRET", "AUTH_TYPE"):
        monkeypatch.delenv(f"DATABRICKS_{name}", raising=False)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    return monkeypatch


@pytest.mark.parametrize(
    ("variables", "severity", "message"),
    [
        ({}, Severity.ERROR, "Neither DATABRICKS_HOST nor a profile in .databrickscfg names a workspace."),
        (
            {"HOST": "https://acme.invalid", "TOKEN": "x"},
            Severity.WARNING,
            "A personal access token signs in at https://acme.invalid; a lost token is valid until it expires.",
        ),
        (
            {"HOST": "https://acme.invalid", "CLIENT_ID": "robot"},
            Severity.ERROR,
            "A service principal signs in at https://acme.invalid, and DATABRICKS_CLIENT_SECRET is not set.",
        ),
        (
            {"HOST": "https://acme.invalid", "CLIENT_ID": "robot", "CLIENT_SECRET": "s"},
            Severity.OK,
            "The service principal robot signs in at https://acme.invalid with OAuth.",
        ),
        (
            {"HOST": "https://acme.invalid", "CLIENT_ID": "robot", "AUTH_TYPE": "github-oidc"},
            Severity.OK,
            "OAuth (github-oidc) signs in at https://acme.invalid.",
        ),
    ],
)
def test_credentials_are_told_apart_without_a_request(
    no_credentials: pytest.MonkeyPatch, variables: dict[str, str], severity: Severity, message: str
) -> None:
    for name, value in variables.items():
        no_credentials.setenv(f"DATABRICKS_{name}", value)
    config, problems = read_configuration()
    assert config is not None, problems
    (found,) = check_credentials(config)
    assert (found.severity, found.message) == (severity, message)


def test_two_kinds_of_credentials_are_refused(no_credentials: pytest.MonkeyPatch) -> None:
    for name in ("TOKEN", "CLIENT_ID", "CLIENT_SECRET"):
        no_credentials.setenv(f"DATABRICKS_{name}", "x")
    no_credentials.setenv("DATABRICKS_HOST", "https://acme.invalid")
    config, (problem,) = read_configuration()
    assert config is None
    assert "more than one authorization method" in problem.message
