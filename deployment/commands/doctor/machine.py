"""This machine: Java, the port of the model server, free disk space and writable folders."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from deployment.commands.doctor.finding import Finding, FindingArea, sentence
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import Warehouse

_JAVA, _PORT, _DISK = FindingArea("Java"), FindingArea("port"), FindingArea("disk")
JAVA = 17
INSTALL_JAVA = "Install Java 17, such as: apt-get install openjdk-17-jre-headless"
LOW_DISK, FULL_DISK = 2 * 2**30, 200 * 2**20  # bytes


def check_java() -> list[Finding]:
    """Java of JAVA_HOME or the PATH; the embedded engine needs none."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if java is None:
        place = f"{home}/bin" if home else "the PATH"
        message = f"There is no java on {place}; SparkTrials and JVM Spark need Java {JAVA}."
        return [_JAVA.warning(message, INSTALL_JAVA)]
    try:
        printed = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=False).stderr
    except (OSError, subprocess.TimeoutExpired) as err:
        return [_JAVA.warning(f"{java} does not run: {err}.", INSTALL_JAVA)]
    return check_java_version(java, printed)


def check_java_version(java: str, printed: str) -> list[Finding]:
    """Version that `java -version` printed."""
    match = re.search(r'version "(?:1\.)?(\d+)', printed)
    if match is None or int(match[1]) < JAVA:
        version = match[1] if match else "of unknown version"
        return [_JAVA.warning(f"{java} is Java {version}, and Spark 4 needs Java {JAVA} or newer.", INSTALL_JAVA)]
    return [_JAVA.ok(f"{java} is Java {match[1]}.")]


def check_port(settings: Settings) -> list[Finding]:
    """The address of the model server: free, or in use by the server of this checkout."""
    from deployment.model_server.process import server_process
    from deployment.model_server.settings import ServerSettings

    try:
        server = ServerSettings.of(settings)
        running = server_process.running(server)
    except LakehouseError as err:
        return [_PORT.error(sentence(err), err.hint or "unset MODEL_SERVER")]
    if running is not None:
        return [_PORT.ok(f"The model server of this checkout runs at {running.url}.")]
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.host, server.port))
        except OSError as err:
            message = f"The model server cannot listen at {server.host}:{server.port}: {err.strerror}."
            if settings.any_port:
                return [_PORT.ok(f"{message} `serve` takes the next free port.")]
            remedy = f"export MODEL_SERVER=http://127.0.0.1:{server.port + 1 if server.port < 65535 else 8080}"
            return [_PORT.error(message, remedy)]
    return [_PORT.ok(f"{server.host}:{server.port} is free for the model server.")]


def check_disk(settings: Settings, free: int | None = None) -> list[Finding]:
    """Free space on the disk of the warehouse; `free` in bytes replaces the measurement."""
    folder = _existing(settings.warehouse)
    free = shutil.disk_usage(folder).free if free is None else free
    message = f"{free / 2**30:,.1f} GiB are free below {folder}."
    if free < FULL_DISK:
        return [_DISK.error(message, "python -m training.maintenance, or free space otherwise")]
    if free < LOW_DISK:
        return [_DISK.warning(message, "python -m training.maintenance --dry-run")]
    return [_DISK.ok(message)]


def check_folders(settings: Settings) -> list[Finding]:
    """Folders that the commands write to; a missing one must be possible to create."""
    findings = []
    existing = settings.warehouse.is_dir()
    try:
        if existing:
            Warehouse(settings.warehouse).require_writable()
    except LakehouseError as err:
        findings.append(_DISK.error(sentence(err), err.hint or "chmod u+w"))
    folders = [settings.artifacts, settings.reports, settings.journals, settings.project / ".serving"]
    places = {_existing(folder) for folder in [*folders, *([] if existing else [settings.warehouse])]}
    for place in sorted({*places, Path(tempfile.gettempdir())}):
        if not os.access(place, os.W_OK | os.X_OK):
            findings.append(_DISK.error(f"The folder {place} cannot be written to.", f"chmod u+wx {place}"))
    return findings or [
        _DISK.ok(f"The warehouse {settings.warehouse} and the folders of {settings.project} are writable.")
    ]


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
