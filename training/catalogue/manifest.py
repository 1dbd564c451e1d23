"""`python -m training.catalogue.manifest`: add use cases and feature types to dbt's manifest for the catalogue page.

The use cases declare the features they read, and the encodings the type of each feature. A second list by hand would
soon be wrong. `dbt-features` reads the manifest, so both are written to a copy of it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from lakehouse import console
from lakehouse.settings import PROJECT
from lakehouse.whole_files import replace_file
from scoring.encodings import ENCODINGS, Encoding
from training.catalogue.promises import Promises, declared, users
from training.use_case.use_case import UseCase, load_all


def enriched(manifest: dict[str, Any], tables: Promises, use_cases: Sequence[UseCase]) -> dict[str, Any]:
    """The manifest with an exposure per use case, and with the users, type and NULL rule of each feature."""
    nodes = {f"{node['schema']}.{node['alias']}": node for node in manifest["nodes"].values() if "alias" in node}
    for table, promise in tables.items():
        encodings = ENCODINGS.validate_python(nodes[table]["config"]["meta"].get("encodings", []))
        types = dict(_feature_types(encodings))
        nullable = frozenset[str]().union(*(encoding.nullable_features for encoding in encodings))
        for feature in promise.features:
            catalog = {
                "feature_type": types.get(feature, "numeric"),
                # load_frame refuses a NULL in all other features
                "null_behavior": "propagate" if feature in nullable else "error",
                "used_by": users(table, feature, use_cases),
            }
            _add(nodes[table]["columns"][feature], catalog)
    return {**manifest, "exposures": {f"exposure.{each.name}": _exposure(each) for each in use_cases}}


def _exposure(use_case: UseCase) -> dict[str, str]:
    labels, endpoint = use_case.labels, use_case.serving.endpoint
    description = f"Predicts {labels.column} of {labels.table} ({use_case.task}) at the endpoint {endpoint}."
    return {"name": use_case.name, "type": "ml", "description": description}


def _feature_types(encodings: Sequence[Encoding]) -> Iterator[tuple[str, str]]:
    """Each feature of the encodings with its type: numeric, boolean, categorical or text."""
    for encoding in encodings:
        for name in encoding.table_columns:
            if name == f"{encoding.column}_is_missing":
                yield name, "boolean"
            elif encoding.feature_type == "text" and name not in encoding.text_features:
                yield name, "numeric"  # the length, and the numbers of an embedding
            else:
                yield name, encoding.feature_type


def _add(column: dict[str, Any], catalog: Mapping[str, object]) -> None:
    for holder in (column, column.setdefault("config", {})):  # dbt writes `meta` to both
        meta = holder.setdefault("meta", {})
        meta["feature_catalog"] = {**catalog, **meta.get("feature_catalog", {})}


@click.command()
@click.argument("manifest", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
def main(manifest: Path, output: Path) -> None:
    """Write MANIFEST with the users and types of the features to OUTPUT."""
    tables = declared(PROJECT / manifest)
    known = json.loads((PROJECT / manifest).read_text(encoding="utf-8"))
    replace_file(PROJECT / output, json.dumps(enriched(known, tables, load_all())))


if __name__ == "__main__":
    console.run_command(main)
