"""dbt's profile: the file, the target, and the variables that it reads."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, TemplateError

from deployment.commands.doctor.finding import Finding, FindingArea
from lakehouse.errors import LakehouseError, nearest

_AREA = FindingArea("profile")
TOKEN_REMEDY = "Remove `token` from profiles.yml and set DATABRICKS_AUTH_TYPE=oauth"  # noqa: S105  (no secret)
_HTTP_PATH = re.compile(r"/sql/(?:1\.0/(?:warehouses|endpoints)/[0-9A-Za-z-]+|protocolv1/o/\d+/[0-9A-Za-z-]+)")
UNSET = "not-set"  # part of the placeholders in profiles.yml


class ProfileRefused(LakehouseError):
    """dbt's profile cannot be read, or lacks the target."""


@dataclass(frozen=True)
class DbtTarget:
    """One target of dbt's profile, with its variables filled in."""

    file: Path
    name: str
    values: Mapping[str, Any]


def read_target(project: Path, target: str, environment: Mapping[str, str] = os.environ) -> DbtTarget:
    """Read one target of the project's profile, as dbt finds the file.

    Raises:
        ProfileRefused: a file is missing or invalid, a variable is not set, or there is no such target.
    """
    folders = [Path(environment["DBT_PROFILES_DIR"])] if "DBT_PROFILES_DIR" in environment else []
    files = [folder / "profiles.yml" for folder in (*folders, project, Path.home() / ".dbt")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise ProfileRefused(f"there is no profiles.yml in {project}", hint="git checkout profiles.yml")
    name = _yaml(project / "dbt_project.yml").get("profile", "lakehouse")
    outputs = _yaml(file).get(name, {}).get("outputs", {})
    if target not in outputs:
        raise ProfileRefused(
            f"the profile {name} in {file} has no target '{target}'. {nearest(target, list(outputs))}",
            hint=f"Add the target to {file}, or choose another one with --target.",
        )
    return DbtTarget(file, target, {key: _filled(value, environment) for key, value in outputs[target].items()})


def check_profile(target: DbtTarget) -> list[Finding]:
    """Finding about a target that could be read."""
    return [_AREA.ok(f"dbt's target {target.name} is of type {target.values.get('type')} in {target.file}.")]


def check_workspace_profile(target: DbtTarget) -> list[Finding]:
    """Host, SQL warehouse and authentication of a target in a workspace."""
    host, path = str(target.values.get("host", "")), str(target.values.get("http_path", ""))
    findings = []
    if not host or UNSET in host:
        remedy = "export DATABRICKS_HOST=YOUR-WORKSPACE.cloud.databricks.com"
        findings.append(_AREA.error("DATABRICKS_HOST is not set, so that dbt has no workspace.", remedy))
    if not path or UNSET in path:
        remedy = "export DATABRICKS_HTTP_PATH=/sql/1.0/warehouses/ID, with an ID of: databricks warehouses list"
        findings.append(_AREA.error("DATABRICKS_HTTP_PATH is not set, so that dbt has no SQL warehouse.", remedy))
    elif not _HTTP_PATH.fullmatch(path):
        remedy = "export DATABRICKS_HTTP_PATH=/sql/1.0/warehouses/ID, with an ID of: databricks warehouses list"
        findings.append(_AREA.error(f"DATABRICKS_HTTP_PATH is {path}, which names no SQL warehouse.", remedy))
    if target.values.get("token"):
        findings.append(_AREA.warning("dbt signs in with a personal access token, not with OAuth.", TOKEN_REMEDY))
    if not findings:
        findings.append(_AREA.ok(f"dbt uses the SQL warehouse {path} of {host}."))
    return findings


def _yaml(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise ProfileRefused(f"{file} cannot be read: {err}", hint=f"git checkout {file.name}") from err
    return content if isinstance(content, dict) else {}


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    """The value with `env_var` filled in, as dbt does."""
    if not isinstance(value, str):
        return value

    def env_var(name: str, default: str | None = None) -> str:
        if name not in environment and default is None:
            raise ProfileRefused(f"the profile needs the variable {name}", hint=f"export {name}=...")
        return environment.get(name, default or "")

    try:
        return Environment(autoescape=False).from_string(value).render(env_var=env_var)  # noqa: S701  (no page)
    except TemplateError as err:
        raise ProfileRefused(f"'{value}' in the profile is not valid: {err}", hint="Correct profiles.yml.") from err
