"""Versions of one model for rollouts: a golden version with another hook, which errs or takes its time."""

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlflow.tracking import MlflowClient

from deployment.gate.gate import Gate
from deployment.ledger.entries import Ledger
from deployment.ledger.folder import FolderLedger
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import Warehouse
from scoring.digest import DIGEST, digest
from tests.contract.databases import new_database
from tests.contract.people import USE_CASE, mlflow_restored
from tests.golden.write_versions import FOLDER
from training.feature_store.store import FeatureStore
from training.tracking import tracking
from training.use_case.use_case import UseCase

NAME = "rolled"
RECORD = {"amount": 1.5, "place": "Bonn", "known": None}
HOOK = """
import itertools, time
CALLS = itertools.count(1)

def add_band(response, record):
    probability = response["probability"]
    time.sleep({seconds})
    if {errs_every} and next(CALLS) > 20 and next(CALLS) % {errs_every} < 2:
        raise ValueError("a defect")
    return {{**response, "band": "low" if probability < 0.2 else "medium" if probability < 0.4 else "high"}}
"""


@dataclass(frozen=True)
class Kind:
    """Kind of a version.

    Attributes:
        seconds: time that its hook takes for a row.
        errs_every: one of so many requests fails; 0 for none.
        golden: factor of its registered golden probabilities: other than 1, it does not reproduce them.
    """

    seconds: float = 0.012
    errs_every: int = 0
    golden: float = 1.0


GOOD, ERRING, SLOW, WRONG = Kind(), Kind(errs_every=50), Kind(seconds=0.036), Kind(golden=0.5)
SLOWEST = Kind(seconds=0.12)  # 60 requests show it on any machine


@dataclass(frozen=True)
class RolloutRegistry:
    """Registry with versions of one model, and a ledger."""

    root: Path
    uri: str
    plan: Mapping[str, object]

    @classmethod
    def built(cls, root: Path, kinds: list[Kind], plan: Mapping[str, object]) -> "RolloutRegistry":
        """Register a version of each kind, from version 1."""
        uri = new_database(root)
        with mlflow_restored():
            client = MlflowClient(uri, uri)
            client.create_registered_model(NAME)
            for number, kind in enumerate(kinds, 1):
                files = _files(root / f"version_{number}", kind)
                client.create_model_version(NAME, source=str(files), tags={DIGEST: digest(files)})
        return cls(root, uri, plan)

    @property
    def settings(self) -> Settings:
        return Settings(self.root, self.root / "warehouse", None, self.uri, self.uri, "http://127.0.0.1:8080")

    @property
    def use_case(self) -> UseCase:
        declared = USE_CASE.model_dump(mode="json", exclude_unset=True)
        serving = {"endpoint": NAME, "rollout": dict(self.plan)}
        return UseCase.model_validate(declared | {"name": NAME, "serving": serving})

    @contextmanager
    def gate(self) -> Iterator[Gate]:
        """Gate of the use case; it needs no feature tables."""

        def no_store() -> FeatureStore:
            raise AssertionError("a rollout needs no feature tables")

        with mlflow_restored(), tracking(self.settings) as client:
            yield Gate(self.use_case, client, no_store, Ledger(FolderLedger(Warehouse(self.settings.warehouse))))


def promote(gate: Gate, version: int) -> None:
    """Make a version the champion, as the gate does after a verdict."""
    with gate.locked():
        change = gate._champion_change
        change.move(gate._entry("promoted", version, (change.champion(), version), "it meets every criterion"))


def _files(folder: Path, kind: Kind) -> Path:
    shutil.copytree(FOLDER / "calibrated_linear_with_hook", folder)
    hook = HOOK.format(seconds=kind.seconds, errs_every=2 * kind.errs_every)
    (folder / "artifacts" / "postprocess.py").write_text(hook)
    if kind.golden != 1.0:
        text = (folder / "MLmodel").read_text()
        wrong = re.sub(r"probability: ([\d.]+)", lambda m: f"probability: {float(m[1]) * kind.golden}", text)
        (folder / "MLmodel").write_text(wrong)
    return folder
