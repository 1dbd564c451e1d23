"""`doctor`: runs the checks of a target, prints the findings, and fails if one is an error."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from deployment.commands.doctor import machine, tables, unfinished, versions
from deployment.commands.doctor.finding import Finding, FindingArea, Severity, sentence
from deployment.commands.doctor.profile import (
    DbtTarget,
    ProfileRefused,
    check_profile,
    check_workspace_profile,
    read_target,
)
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.home import DATABRICKS, LOCAL
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import Warehouse
from lakehouse.wording import number_of
from training.use_case.use_case import FOLDER

_COLOURS = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.ERROR: "bold red", Severity.UNCHECKED: "dim"}


@dataclass(frozen=True)
class Examination:
    """Target, settings and permission to use the network."""

    target: str
    settings: Settings
    online: bool

    @property
    def use_cases(self) -> list[str]:
        return sorted(file.stem for file in FOLDER.glob("*.yml"))


Check = Callable[[Examination], list[Finding]]


def doctor(target: str, settings: Settings, *, online: bool, as_json: bool) -> bool:
    """Print the findings of a target.

    Returns:
        True if no finding is an error.
    """
    findings = examine(Examination(target, settings, online))
    if as_json:
        console.verbatim(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        _show(findings)
    return all(finding.severity is not Severity.ERROR for finding in findings)


def examine(examination: Examination) -> list[Finding]:
    """Findings of every check of the target; a check that fails is a finding too."""
    findings = list[Finding]()
    for name, check in CHECKS[examination.target].items():
        try:
            findings += check(examination)
        except LakehouseError as err:
            findings.append(FindingArea(name).error(sentence(err), err.hint or "python -m deployment.run doctor"))
    return findings


def _show(findings: list[Finding]) -> None:
    for area in dict.fromkeys(finding.area for finding in findings):
        console.stage(area)
        for finding in findings:
            if finding.area == area:
                console.labelled(finding.severity, _COLOURS[finding.severity], finding.message)
                if finding.remedy:
                    console.detail(f"{'':<10} {finding.remedy}")
    counts = {severity: sum(each.severity is severity for each in findings) for severity in Severity}
    console.stage(
        f"{number_of('error', counts[Severity.ERROR])}, {number_of('warning', counts[Severity.WARNING])}, "
        f"{counts[Severity.UNCHECKED]} not checked, {counts[Severity.OK]} ok"
    )


def _versions(examination: Examination) -> list[Finding]:
    python, requirements = versions.declared_requirements(examination.settings.project)
    return [
        *versions.check_python(python),
        *versions.check_packages(requirements),
        *versions.check_pairs(),
    ]


def _profile(examination: Examination) -> list[Finding]:
    return check_profile(_target(examination))


def _workspace_profile(examination: Examination) -> list[Finding]:
    return check_workspace_profile(_target(examination))


def _target(examination: Examination) -> DbtTarget:
    return read_target(examination.settings.project, examination.target)


def _engine(examination: Examination) -> list[Finding]:
    from deployment.commands.doctor import engine

    remote = examination.settings.remote or _target(examination).values["remote"]
    return engine.check_engine(remote) if examination.online else engine.list_unchecked(remote)


def _workspace(examination: Examination) -> list[Finding]:
    from deployment.commands.doctor import catalog_tables, credentials, network, workspace

    config, findings = credentials.read_configuration()
    if config is not None:
        findings += credentials.check_credentials(config)
    if not examination.online:
        return findings + workspace.list_unchecked()
    if config is None or _has_error(findings):
        return findings
    try:
        path = str(_target(examination).values.get("http_path", ""))
    except ProfileRefused:  # a finding of its own
        path = ""
    try:
        with network.workspace_client(config.host) as client:
            findings += workspace.check_workspace(client, examination.settings, path)
            if not _has_error(findings):
                promises = _promises(examination)
                findings += catalog_tables.check_catalog_tables(client, examination.settings, promises)
    except LakehouseError as err:
        findings.append(FindingArea("workspace").error(sentence(err), err.hint or credentials.LOGIN))
    return findings


def _has_error(findings: list[Finding]) -> bool:
    return any(finding.severity is Severity.ERROR for finding in findings)


def _registry(examination: Examination) -> list[Finding]:
    from deployment.commands.doctor import network, registry
    from training.tracking import tracking

    settings, uri = examination.settings, examination.settings.registry_uri
    findings = registry.check_names(settings, examination.use_cases)
    in_file = uri.startswith(registry.SQLITE)
    if in_file:
        findings += registry.check_database(uri)
        if not (settings.project / uri.removeprefix(registry.SQLITE)).exists() or findings[-1].severity in {
            Severity.ERROR, Severity.WARNING,
        }:  # fmt: skip
            return findings
    elif not examination.online:
        return findings + registry.list_unchecked(uri, examination.target)
    if not in_file and (host := network.host_of_registry(uri)):
        network.require_answer(host)
    with network.bounded_registry(), tracking(settings) as client:
        findings += registry.check_models(client, examination.use_cases)
        findings += unfinished.check_champion_changes(client, examination.use_cases)
    return findings


def _runs(examination: Examination) -> list[Finding]:
    return unfinished.check_runs(examination.settings.journals)


def _tables(examination: Examination) -> list[Finding]:
    return tables.check_tables(Warehouse(examination.settings.warehouse), _promises(examination))


def _promises(examination: Examination) -> Path:
    return examination.settings.project / "dbt_project" / "feature_tables.json"


EVERYWHERE: Mapping[str, Check] = {"packages": _versions, "profile": _profile}
HERE: Mapping[str, Check] = {
    "registry": _registry,
    "tables": _tables,
    "Java": lambda _: machine.check_java(),
    "port": lambda examination: machine.check_port(examination.settings),
    "disk": lambda examination: [
        *machine.check_disk(examination.settings), *machine.check_folders(examination.settings),
    ],
    "unfinished": _runs,
}  # fmt: skip
CHECKS: Mapping[str, Mapping[str, Check]] = {
    LOCAL.name: {**EVERYWHERE, **HERE},
    "spark": {**EVERYWHERE, "engine": _engine, **HERE},
    DATABRICKS.name: {
        **EVERYWHERE,
        "workspace profile": _workspace_profile,
        "workspace": _workspace,
        "registry": _registry,
        "tables": lambda examination: [] if examination.online else tables.list_unchecked(),
        "unfinished": _runs,
    },
}


def settings_of(target: str, environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings of the target; feature store, tracking and registry of a workspace are its own unless set."""
    if target == DATABRICKS.name:
        in_workspace = {"FEATURE_STORE": DATABRICKS.name, "MLFLOW_TRACKING_URI": DATABRICKS.name}
        return Settings.from_environment({**in_workspace, **environment})
    return Settings.from_environment(environment)
