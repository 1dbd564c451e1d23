"""`python -m training.catalogue`: dbt's manifest, with who uses each feature, for the catalogue page.

Who uses a feature is said by the use cases, and nowhere else: a list kept by hand beside the feature would be wrong
before long. `dbt-features` reads it from the manifest, so it is written into a copy of that.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from lakehouse import console
from lakehouse.settings import PROJECT
from training.feature_schema import ManifestMissing
from training.use_case import UseCase, load_all


def with_users(manifest: dict[str, Any], use_cases: Iterable[UseCase]) -> dict[str, Any]:
    """The manifest, its feature columns with `used_by`."""
    nodes = {f"{node['schema']}.{node['alias']}": node for node in manifest["nodes"].values() if "alias" in node}
    for use_case in use_cases:
        for lookup in use_case.features:
            for name, column in nodes[lookup.table]["columns"].items():
                if name not in lookup.exclude:
                    _mark(column, use_case.name)
    return manifest


def _mark(column: dict[str, Any], use_case: str) -> None:
    for holder in (column, column.setdefault("config", {})):  # dbt says it in both places
        about = holder.setdefault("meta", {}).setdefault("feature_catalog", {})
        about["used_by"] = [*about.get("used_by", []), use_case]


@click.command()
@click.argument("manifest", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
def main(manifest: Path, output: Path) -> None:
    """Write MANIFEST with the users of each feature to OUTPUT."""
    source = PROJECT / manifest
    if not source.is_file():
        raise ManifestMissing.at(source)
    known = json.loads(source.read_text(encoding="utf-8"))
    target = PROJECT / output
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(with_users(known, load_all())), encoding="utf-8")


if __name__ == "__main__":
    console.run_command(main)
