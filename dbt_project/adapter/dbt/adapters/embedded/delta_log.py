"""Delta log of a table: its active files, and commits of this adapter.

A commit is one new file in the log, so it is visible completely or not at all. One process writes to a warehouse.
"""

import json
import os
import re
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq

Action = Mapping[str, Any]
FILE_ACTIONS = frozenset({"add", "remove", "cdc"})
CONSTRAINT = "delta.constraints."
_CHECKPOINT = re.compile(r"\b(\d{20})\.checkpoint(?:\.\d{10}\.(\d{10}))?\.parquet\b")
CHECK_WRITER, FEATURE_WRITER = 3, 7  # protocol versions: CHECKs, and features listed by name


@dataclass(frozen=True)
class Declaration:
    """Constraints and properties of a table, as its log keeps them."""

    not_null: frozenset[str] = frozenset()
    checks: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def configuration(self) -> dict[str, str]:
        return {**self.properties, **{CONSTRAINT + check: condition for check, condition in self.checks.items()}}


@dataclass(frozen=True)
class DeltaLog:
    """Log of the table in a folder."""

    location: Path

    @property
    def folder(self) -> Path:
        return self.location / "_delta_log"

    def version(self) -> int:
        """Newest version; -1 without a commit."""
        return max((int(file.stem) for file in self.folder.glob("*.json") if file.stem.isdigit()), default=-1)

    def actions(self, since: int = 0) -> Iterator[dict[str, Any]]:
        """Actions of the commits from a version on, oldest first."""
        for commit in sorted(self.folder.glob("*.json")):
            if commit.stem.isdigit() and int(commit.stem) >= since:
                yield from map(json.loads, commit.read_text(encoding="utf-8").splitlines())

    def active_files(self) -> dict[str, dict[str, Any]]:
        """`add` action of each active file, by its path as the log encodes it."""
        checkpoint = self._last_checkpoint()
        active = {add["path"]: add for add in self._checkpoint_adds(checkpoint)}
        for action in self.actions(checkpoint + 1):
            if add := action.get("add"):
                active[add["path"]] = add
            elif remove := action.get("remove"):
                active.pop(remove["path"], None)
        return active

    def head(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Newest `protocol` and `metaData` actions."""
        found = dict(self._checkpoint_head())
        for action in self.actions(self._last_checkpoint() + 1):
            found |= {kind: {kind: action[kind]} for kind in ("protocol", "metaData") if kind in action}
        return found["protocol"], found["metaData"]

    def declare(self, declaration: Declaration) -> None:
        """Rewrite the head of a log that no reader has seen."""
        protocol, metadata = self.head()
        new = {"protocol": permitting(protocol, declaration.checks), "metaData": declared(metadata, declaration)}
        for commit in self.folder.glob("*.json"):
            lines = map(json.loads, commit.read_text(encoding="utf-8").splitlines())
            actions = [next((new[kind] for kind in new if kind in line), line) for line in lines]
            commit.write_text(_lines(actions), encoding="utf-8")
            for checksum in (f".{commit.name}.crc", f"{commit.stem}.crc"):  # of Hadoop and of Delta on JVM Spark
                (self.folder / checksum).unlink(missing_ok=True)

    def configure(self, configuration: Mapping[str, str]) -> None:
        """Commit other properties and CHECKs of the table."""
        protocol, metadata = self.head()
        checks = [key for key in configuration if key.startswith(CONSTRAINT)]
        changed = {"metaData": {**metadata["metaData"], "configuration": dict(configuration)}}
        permitted = permitting(protocol, checks)
        self.commit([*([permitted] if permitted != protocol else []), changed], "SET TBLPROPERTIES")

    def commit(self, actions: Iterable[Action], operation: str) -> None:
        """Write the next version.

        Raises:
            FileExistsError: another process has written it first.
        """
        info = {"commitInfo": {"timestamp": _now(), "operation": operation, "operationParameters": {}}}
        target = self.folder / f"{self.version() + 1:020}.json"
        draft = target.with_suffix(".draft")
        draft.write_text(_lines([info, *actions]), encoding="utf-8")
        try:
            os.link(draft, target)
        finally:
            draft.unlink()

    def _last_checkpoint(self) -> int:
        """Version of the newest complete checkpoint, by its files; the hint `_last_checkpoint` is optional."""
        parts = Counter(_CHECKPOINT.findall(" ".join(file.name for file in self.folder.glob("*.parquet"))))
        complete = (int(version) for (version, count), found in parts.items() if found == int(count or 1))
        return max(complete, default=-1)

    def _checkpoint_adds(self, version: int) -> Iterator[dict[str, Any]]:
        for add in self._checkpoint(version, "add"):
            kept = {key: value for key, value in add.items() if value is not None and not key.endswith("_parsed")}
            yield kept | {"partitionValues": dict(add["partitionValues"] or ())}

    def _checkpoint_head(self) -> Iterator[tuple[str, dict[str, Any]]]:
        version = self._last_checkpoint()
        for kind in ("protocol", "metaData"):
            for action in self._checkpoint(version, kind):
                content = {key: value for key, value in action.items() if value is not None}
                if kind == "metaData":
                    content["configuration"] = dict(action["configuration"] or ())
                    content["format"] = {"provider": action["format"]["provider"], "options": {}}
                yield kind, {kind: content}

    def _checkpoint(self, version: int, kind: str) -> Iterator[dict[str, Any]]:
        for part in sorted(self.folder.glob(f"{version:020}.checkpoint*.parquet")) if version >= 0 else ():
            yield from (action for action in pq.read_table(part, columns=[kind])[kind].to_pylist() if action)


def removal(add: Mapping[str, Any]) -> dict[str, Any]:
    """`remove` action of an active file."""
    kept = {key: add[key] for key in ("path", "partitionValues", "size")}
    return {"remove": kept | {"deletionTimestamp": _now(), "dataChange": True, "extendedFileMetadata": True}}


def file_of(add: Mapping[str, Any]) -> str:
    """Path of an added file relative to its table."""
    return unquote(add["path"])


def permitting(protocol: Action, checks: Collection[str]) -> dict[str, Any]:
    """The protocol, raised to one that has CHECKs if there are any."""
    content = dict(protocol["protocol"])
    if checks and content["minWriterVersion"] < CHECK_WRITER:
        content["minWriterVersion"] = CHECK_WRITER
    elif checks and content["minWriterVersion"] >= FEATURE_WRITER:
        content["writerFeatures"] = sorted({*(content.get("writerFeatures") or ()), "checkConstraints"})
    return {"protocol": content}


def declared(metadata: Action, declaration: Declaration) -> dict[str, Any]:
    """The metadata with these constraints and properties in place of its own."""
    content = dict(metadata["metaData"])
    schema = json.loads(content["schemaString"])
    for column in schema["fields"]:
        column["nullable"] = column["name"] not in declaration.not_null
    return {"metaData": {**content, "schemaString": json.dumps(schema), "configuration": declaration.configuration}}


def _lines(actions: Iterable[Action]) -> str:
    return "".join(json.dumps(action) + "\n" for action in actions)


def _now() -> int:
    return int(time.time() * 1000)
