"""The bundle as the Databricks CLI would deploy it, resolved offline: `python -m resources.bundle [TARGET]`.

It merges a target into the configuration, applies the presets of `mode: development`, fills in variables and
references, and checks each resource against Databricks' own classes. The CLI and a workspace decide more: whether
names are free, whether a warehouse exists and who may deploy.

Source of the rules: deployment modes and substitutions in Databricks' documentation of bundles.
"""

import copy
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from databricks.sdk.service.catalog import PrivilegeAssignment, RegisteredModelInfo, SchemaInfo, VolumeInfo
from databricks.sdk.service.jobs import JobSettings
from databricks.sdk.service.ml import Experiment

from lakehouse.settings import PROJECT

USER = "anna.example@example.com"  # who deploys, where a workspace would say it
RESOURCE_TYPES: Mapping[str, Any] = {
    "jobs": JobSettings,
    "schemas": SchemaInfo,
    "volumes": VolumeInfo,
    "registered_models": RegisteredModelInfo,
    "experiments": Experiment,
}
DEVELOPMENT, PAUSED, CONCURRENT_RUNS = "development", "PAUSED", 4
_REFERENCE = re.compile(r"\$\{([a-zA-Z][\w.\-]*)\}")


class BundleRefused(Exception):
    """The CLI would refuse the configuration."""


@dataclass(frozen=True)
class Target:
    """One target of the bundle with everything filled in.

    Attributes:
        resources: by kind, then by key.
        configuration: the whole configuration of the target.
    """

    name: str
    resources: Mapping[str, Mapping[str, Any]]
    configuration: Mapping[str, Any]


def targets() -> list[str]:
    """Names of the bundle's targets."""
    return list(_read(PROJECT / "databricks.yml")["targets"])


def resolve(name: str, user: str = USER) -> Target:
    """Resolve one target.

    Raises:
        BundleRefused: a reference has no value, or a resource has an unknown field.
    """
    bundle = _read(PROJECT / "databricks.yml")
    for pattern in bundle["include"]:
        for file in sorted(PROJECT.glob(pattern)):
            bundle = _merged(bundle, _read(file))
    target = bundle.pop("targets")[name]
    variables = {key: _default(key, each) for key, each in bundle.pop("variables").items()}
    variables |= target.pop("variables", {})
    bundle = _merged(bundle, target)
    if bundle.get("mode") == DEVELOPMENT:
        _apply_development(bundle["resources"], _short(user))
    root = bundle.get("workspace", {}).get(
        "root_path", "/Workspace/Users/${workspace.current_user.userName}/.bundle/${bundle.name}/${bundle.target}"
    )
    values = {
        "bundle": {"name": bundle["bundle"]["name"], "target": name},
        "var": variables,
        "workspace": {
            "current_user": {"userName": user, "short_name": _short(user)},
            "root_path": root,
            "file_path": f"{root}/files",
        },
        "resources": bundle["resources"],
    }
    filled = _fill(bundle, values)
    return Target(name, filled["resources"], filled)


def check(target: Target) -> None:
    """Check each resource against Databricks' own class of it.

    Raises:
        BundleRefused: a kind, a field or the type of a value is unknown.
    """
    for kind, resources in target.resources.items():
        if kind not in RESOURCE_TYPES:
            raise BundleRefused(f"resources.{kind} is not checked here; known: {', '.join(RESOURCE_TYPES)}")
        for key, fields in resources.items():
            api = {name: value for name, value in fields.items() if name != "grants"}
            _require_known(f"resources.{kind}.{key} of target {target.name}", RESOURCE_TYPES[kind], api)
            for grant in fields.get("grants", []):
                _require_known(f"a grant of resources.{kind}.{key}", PrivilegeAssignment, grant)


def _require_known(name: str, api: Any, fields: Mapping[str, Any]) -> None:
    """Read and write the fields by a class of the API: it drops what it does not know."""
    known = api.from_dict(copy.deepcopy(dict(fields))).as_dict()
    if known != fields:
        raise BundleRefused(f"{name} has fields or values that the API does not know: {_difference(fields, known)}")


def _difference(declared: Any, known: Any, path: str = "") -> str:
    if isinstance(declared, Mapping) and isinstance(known, Mapping):
        parts = [_difference(each, known.get(key), f"{path}.{key}") for key, each in declared.items()]
        return ", ".join(part for part in parts if part)
    if isinstance(declared, list) and isinstance(known, list) and len(declared) == len(known):
        parts = [
            _difference(*pair, f"{path}[{index}]") for index, pair in enumerate(zip(declared, known, strict=True))
        ]
        return ", ".join(part for part in parts if part)
    return "" if declared == known else f"{path.lstrip('.')} = {declared!r}"


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def _default(name: str, variable: Mapping[str, Any]) -> Any:
    if lookup := variable.get("lookup"):
        ((kind, value),) = lookup.items()
        return f"id-of-{kind}-{value}".replace(" ", "-")
    return variable.get("default")


def _merged(below: Any, above: Any) -> Any:
    """Mappings merge by key, everything else is replaced."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: _merged(below[key], value) if key in below else value for key, value in above.items()}


def _apply_development(resources: dict[str, Any], short_name: str) -> None:
    """Prefix names with the developer, and pause and parallelise jobs that do not say otherwise themselves."""
    prefix = f"[dev {short_name}] "
    for job in resources.get("jobs", {}).values():
        job["name"] = prefix + job["name"]
        job.setdefault("tags", {}).setdefault("dev", short_name)
        job.setdefault("max_concurrent_runs", CONCURRENT_RUNS)
        for trigger in ("schedule", "trigger", "continuous"):
            if trigger in job:
                job[trigger].setdefault("pause_status", PAUSED)
    for experiment in resources.get("experiments", {}).values():
        folder, slash, base = experiment["name"].rpartition("/")
        experiment["name"] = folder + slash + prefix + base
    for kind in ("schemas", "registered_models"):
        for resource in resources.get(kind, {}).values():
            resource["name"] = f"dev_{short_name}_{resource['name']}"


def _short(user: str) -> str:
    return re.sub(r"\W", "_", user.partition("@")[0])


def _fill(node: Any, values: Mapping[str, Any]) -> Any:
    """Replace references until none is left."""
    if isinstance(node, dict):
        return {key: _fill(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill(value, values) for value in node]
    if not isinstance(node, str):
        return node
    whole = _REFERENCE.fullmatch(node)
    if whole:
        return _fill(_value(whole[1], values), values)
    return _REFERENCE.sub(lambda found: str(_fill(_value(found[1], values), values)), node)


def _value(reference: str, values: Mapping[str, Any]) -> Any:
    if reference.startswith("resources.") and reference.endswith(".id"):
        _, kind, key, _ = reference.split(".")
        _value(f"resources.{kind}.{key}", values)
        return f"id-of-{kind}-{key}"
    found: Any = values
    for part in reference.split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise BundleRefused(f"${{{reference}}} does not exist")
        found = found[part]
    if found is None:
        raise BundleRefused(f"${{{reference}}} has no value; pass it with --var")
    return found


def main() -> None:
    """Check every target, and print one of them if it is named."""
    for name in targets():
        check(resolve(name))
    for name in sys.argv[1:]:
        sys.stdout.write(yaml.safe_dump(dict(resolve(name).configuration), sort_keys=False, width=118))


if __name__ == "__main__":
    main()
