"""`python -m training.catalogue.manifest`: dbt's manifest for the catalogue page, with the use cases of each feature.

The use cases say which features they read, and the encodings of what kind a feature is; a list kept by hand beside
the feature would be wrong before long. `dbt-features` reads the manifest, so both are written into a copy of it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from lakehouse import console
from lakehouse.settings import PROJECT
from scoring.encodings import ENCODINGS, index_tables
from training.catalogue.promises import Promises, declared, users
from training.use_case.use_case import UseCase, load_all

_KINDS = {"flag": "boolean", "one_hot": "boolean", "number": "numeric"}  # whatever else stands for categories


def enriched(manifest: dict[str, Any], tables: Promises, use_cases: Sequence[UseCase]) -> dict[str, Any]:
    """The manifest with each use case, and with the users, the kind and the rule for NULL of each feature."""
    nodes = {f"{node['schema']}.{node['alias']}": node for node in manifest["nodes"].values() if "alias" in node}
    for table, promise in tables.items():
        kinds = dict(_kinds(nodes[table]["config"]["meta"].get("encodings", [])))
        for feature in promise.features:
            about = {
                "feature_type": kinds.get(feature, "numeric"),
                "null_behavior": "error",  # a frame with a NULL is refused, whatever the feature
                "used_by": users(table, feature, use_cases),
            }
            _say(nodes[table]["columns"][feature], about)
    return {**manifest, "exposures": {f"exposure.{each.name}": _exposure(each) for each in use_cases}}


def _exposure(use_case: UseCase) -> dict[str, str]:
    labels, endpoint = use_case.labels, use_case.serving.endpoint
    answers = f"{labels.column} of {labels.table} ({use_case.task})"
    return {"name": use_case.name, "type": "ml", "description": f"Answers {answers} at the endpoint {endpoint}."}


def _kinds(encodings: list[Any]) -> Iterator[tuple[str, str]]:
    """Each feature that the encodings make, and whether it is a number, a truth or a category."""
    parsed = ENCODINGS.validate_python(encodings)
    vocabularies = dict.fromkeys(index_tables(parsed), ("",))
    for encoding in parsed:
        for name in encoding.encode([], vocabularies):
            marks = name == f"{encoding.column}_is_missing"
            yield name, "boolean" if marks else _KINDS.get(encoding.kind, "categorical")


def _say(column: dict[str, Any], more: Mapping[str, object]) -> None:
    for holder in (column, column.setdefault("config", {})):  # dbt says it in both places
        meta = holder.setdefault("meta", {})
        meta["feature_catalog"] = {**more, **meta.get("feature_catalog", {})}


@click.command()
@click.argument("manifest", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
def main(manifest: Path, output: Path) -> None:
    """Write MANIFEST with the users and kinds of the features to OUTPUT."""
    tables = declared(PROJECT / manifest)
    known = json.loads((PROJECT / manifest).read_text(encoding="utf-8"))
    target = PROJECT / output
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(enriched(known, tables, load_all())), encoding="utf-8")


if __name__ == "__main__":
    console.run_command(main)
