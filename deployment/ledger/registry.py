"""Ledger beside a shared registry: one MLflow run for each entry, on the server that every machine uses.

MLflow has no write that fails if another came first. So a writer proposes its entry as a running run, and looks for
other proposals of the same number. If it sees none it finishes the run, which makes it an entry; otherwise it deletes
its own. Of two writers at least one sees the other, so at most one finishes. A proposal of a killed command is
deleted after a minute, and one with the same content at once: the client repeats a request that the server answered
with an error. A deleted run cannot be finished.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mlflow.entities import Run, RunStatus, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from deployment.ledger.entries import LedgerBroken
from deployment.ledger.folder import SCHEMA, FolderLedger
from deployment.ledger.storage import EntryNotWritten, LedgerStorage, PromotionBusy
from lakehouse.errors import LakehouseError

EXPERIMENT = "deployment.ledger"
USE_CASE, NUMBER, ENTRY = "ledger.use_case", "ledger.number", "ledger.entry"  # tags of a run
ABANDONED = timedelta(minutes=1)
_FINISHED = RunStatus.to_string(RunStatus.FINISHED)
_PAGE = 1000


class LedgerDeleted(LakehouseError):
    """The experiment of the ledger was deleted."""

    @classmethod
    def of(cls, experiment: str, number: str) -> "LedgerDeleted":
        return cls(
            f"the MLflow experiment {experiment}, which holds the ledger, was deleted",
            hint=f"Restore it: mlflow experiments restore --experiment-id {number}",
        )


@dataclass(frozen=True)
class RegistryLedger:
    """Ledger in an experiment of the registry's server.

    Attributes:
        client: client of that server.
        uri: address of the server.
        experiment: name of the experiment.
        local: ledger of this machine's warehouse: its lock, and the chain of a release that kept the ledger there.
    """

    client: MlflowClient
    uri: str
    experiment: str
    local: FolderLedger

    @property
    def location(self) -> str:
        return f"the experiment {self.experiment} at {self.uri}"

    def require_writable(self) -> None:
        self.local.require_writable()
        self._experiment_id(create=True)

    @contextmanager
    def lock(self, use_case: str) -> Iterator[None]:
        """Lock out other commands of this machine; of two machines `add` stops the second."""
        with self.local.lock(use_case):
            yield

    def rows(self, use_case: str) -> list[dict[str, Any]]:
        shared = self._shared_rows(use_case)
        # Until its first entry here, or if the copying of the earlier ones was interrupted.
        kept = self.local.rows(use_case)
        digests = [row["digest"] for row in shared]
        continued = digests == [row["digest"] for row in kept][: len(shared)]
        return kept if len(kept) > len(shared) and continued else shared

    def add(self, row: Mapping[str, Any]) -> None:
        use_case = str(row["use_case"])
        before, shared = self.rows(use_case), self._shared_rows(use_case)
        for earlier in before[len(shared) :]:
            self._write(earlier)
        self._write(row)

    def _write(self, row: Mapping[str, Any]) -> None:
        experiment, number, use_case = self._experiment_id(create=True), str(row["number"]), str(row["use_case"])
        text = json.dumps({**row, "at": row["at"].astimezone(UTC).isoformat()}, sort_keys=True)
        tags = {USE_CASE: use_case, NUMBER: number, ENTRY: text}
        try:
            run = self.client.create_run(experiment, tags=tags, run_name=f"{use_case} {number}: {row['action']}")
            if self._rivals(experiment, run.info.run_id, tags):
                self.client.delete_run(run.info.run_id)
                raise PromotionBusy.by("it wrote the same ledger entry")
            self.client.set_terminated(run.info.run_id)
        except MlflowException as err:
            raise EntryNotWritten.of(use_case, err) from err

    def _rivals(self, experiment: str, own: str, tags: Mapping[str, str]) -> list[Run]:
        """Runs of other writers with the same number; useless proposals are deleted first."""
        oldest = (datetime.now(UTC) - ABANDONED).timestamp() * 1000
        for run in self._runs(experiment, tags[USE_CASE], ViewType.ACTIVE_ONLY, tags[NUMBER]):
            useless = run.info.start_time < oldest or run.data.tags.get(ENTRY) == tags[ENTRY]
            if run.info.run_id != own and run.info.status != _FINISHED and useless:
                self.client.delete_run(run.info.run_id)
        runs = self._runs(experiment, tags[USE_CASE], ViewType.ALL, tags[NUMBER])
        others = [run for run in runs if run.info.run_id != own]
        # A deleted proposal counts no more; an entry counts even if somebody deleted its run.
        return [run for run in others if run.info.status == _FINISHED or run.info.lifecycle_stage == "active"]

    def _shared_rows(self, use_case: str) -> list[dict[str, Any]]:
        experiment = self._experiment_id()
        if experiment is None:
            return []
        entries = [run for run in self._runs(experiment, use_case, ViewType.ALL) if run.info.status == _FINISHED]
        try:
            recorded = [json.loads(run.data.tags[ENTRY]) for run in entries]
            # Another release may have other fields; the hash of the entry then differs.
            rows = [{name: row.get(name) for name in SCHEMA.names} for row in recorded]
            parsed = [row | {"at": datetime.fromisoformat(row["at"])} for row in rows]
        except (KeyError, ValueError, TypeError) as err:
            raise LedgerBroken.unreadable(use_case, err) from err
        return sorted(parsed, key=lambda row: int(row["number"]))

    def _runs(self, experiment: str, use_case: str, view: int, number: str | None = None) -> list[Run]:
        condition = f"tags.`{USE_CASE}` = '{use_case}'"
        condition += f" and tags.`{NUMBER}` = '{number}'" if number is not None else ""
        runs, token = list[Run](), None
        while True:
            page = self.client.search_runs([experiment], condition, view, _PAGE, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs

    def _experiment_id(self, *, create: bool = False) -> Any:
        found = self.client.get_experiment_by_name(self.experiment)
        if found is None and create:
            try:
                return self.client.create_experiment(self.experiment)
            except MlflowException as err:
                if err.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = self.client.get_experiment_by_name(self.experiment)  # another machine has just created it
        if found is not None and found.lifecycle_stage != "active":
            raise LedgerDeleted.of(self.experiment, str(found.experiment_id))
        return None if found is None else str(found.experiment_id)


def _conforms(storage: RegistryLedger) -> LedgerStorage:
    return storage
