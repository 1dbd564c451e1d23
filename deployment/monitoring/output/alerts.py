"""Alerts: to stderr always, and to a file and a webhook where they are configured."""

import errno
import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import requests
from rich.markup import escape

from deployment.monitoring.monitored_run import MonitoredRun
from lakehouse import console

WEBHOOK_SECONDS = 10


@dataclass(frozen=True)
class Alert:
    """A message about confirmed findings."""

    use_case: str
    version: int
    action: str
    window_start: datetime
    window_end: datetime
    findings: tuple[str, ...]
    report: str

    @classmethod
    def of(cls, run: MonitoredRun, report: Path) -> "Alert":
        """The alert of a run whose decision is not `nothing`."""
        number = run.decision.window or 0
        sentences = tuple(f"{finding.sentence()} ({action})" for finding, action in run.decision.findings)
        return cls(
            run.use_case, run.version, run.decision.action, run.start(number), run.end(number), sentences, str(report)
        )

    def to_json(self) -> str:
        """One line of JSON; `text` is what chat services show."""
        headline = f"{self.use_case} version {self.version}: {self.action.replace('_', ' ')}"
        return json.dumps(
            {
                "text": f"{headline}. {'; '.join(self.findings)}",
                "use_case": self.use_case,
                "version": self.version,
                "action": self.action,
                "window_start": self.window_start.isoformat(),
                "window_end": self.window_end.isoformat(),
                "findings": list(self.findings),
                "report": self.report,
            }
        )


def _append_line(file: Path, line: str) -> None:
    """Append a line in one write; a line that a full disk cut off stays apart from it."""
    with file.open("a+b", buffering=0) as lines:
        if lines.seek(0, os.SEEK_END):
            lines.seek(-1, os.SEEK_END)
            line = line if lines.read() == b"\n" else f"\n{line}"
        if lines.write(data := f"{line}\n".encode()) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def deliver(alert: Alert, file: Path | None, webhook: str | None) -> list[str]:
    """Write the alert everywhere; return why a place did not get it.

    A place that fails does not keep the alert from the others. The address of a webhook is a secret, and is in no
    message.
    """
    first, more = alert.findings[0], len(alert.findings) - 1
    line = f"{alert.use_case} version {alert.version}: {first}{f'; and {more} more' if more else ''}"
    console.ERR.print(f"[bold yellow]Alert:[/] {escape(line)}", soft_wrap=True)
    failures = []
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            _append_line(file, alert.to_json())
        except OSError as err:
            failures.append(f"the alert was not written to {file}: {err.strerror}")
    if webhook is not None:
        try:
            headers = {"Content-Type": "application/json"}
            answer = requests.post(
                webhook, data=alert.to_json(), headers=headers, timeout=WEBHOOK_SECONDS, allow_redirects=False
            )
            if answer.status_code >= 300:
                failures.append(f"the webhook refused the alert with status {answer.status_code}")
        except requests.RequestException as err:
            failures.append(f"the webhook did not get the alert: {type(err).__name__}")
    return failures
