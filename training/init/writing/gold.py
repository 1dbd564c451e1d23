"""Feature table, label table and category indices of a proposal."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from scoring.encodings.categories import slug
from training.init.proposing.proposal import Proposal
from training.init.proposing.roles import ColumnRole
from training.init.proposing.target import as_text
from training.init.writing.literals import jinja_value, yaml_value
from training.init.writing.names import Names
from training.init.writing.staging import column_yml


def raw_input(role: ColumnRole) -> str:
    """Name of the staging column, and of the field of a request."""
    return f"{role.name}_days" if role.role == "days" else role.name


def categories(role: ColumnRole) -> list[str]:
    """Categories of a one-hot column, in alphabetical order."""
    return sorted(as_text(value) for value, _ in role.profile.values)


def encodings(proposal: Proposal) -> list[dict[str, Any]]:
    """The encodings of all features; an age has a second one for its cohort."""
    names = Names.of(proposal)
    found = []
    for role in proposal.features:
        if role.bounds:
            found.append({"column": raw_input(role), "as": "cohort", "bounds": list(role.bounds)})
        found.append(_encoding(role, names))
    return found


def _encoding(role: ColumnRole, names: Names) -> dict[str, Any]:
    found: dict[str, Any] = {"column": raw_input(role), "as": "number" if role.role == "days" else role.role}
    if role.role == "number":
        if role.profile.column.kind == "double":
            found["type"] = "double"
        if role.profile.minimum >= 0:
            found["minimum"] = 0
    if role.lacks_numbers:
        found["missing"] = "keep"
    if role.role == "one_hot":
        found["categories"] = categories(role)
    if role.role == "category_index":
        found["index"] = f"gold.{names.index(role.name)}"
    return found


def features_sql(proposal: Proposal) -> str:
    """SQL of the feature table."""
    names = Names.of(proposal)
    entries = "\n".join(
        "  {" + ", ".join(f"'{key}': {jinja_value(value)}" for key, value in encoding.items()) + "},"
        for encoding in encodings(proposal)
    )
    indexed = [role.name for role in proposal.features if role.role == "category_index"]
    joins = "".join(
        f"\n  left join {{{{ ref('{names.index(column)}') }}}} as {column}_indices"
        f"\n    on staged.{column} = {column}_indices.{column}"
        for column in indexed
    )
    integers = "".join(f", {column}_indices.{column}_index" for column in indexed)
    indexed_rows = f"""
indexed as (

  select staged.*{integers}
  from staged{joins}

),
"""
    return f"""{{# Encodings of raw columns as features, used in the SQL below and for requests to the endpoint. #}}
{{% set encodings = [
{entries}
] %}}

{{{{ config(meta={{'encodings': encodings}}) }}}}

with staged as (

  select * from {{{{ ref('{names.staging}') }}}}

),
{indexed_rows if indexed else ""}
final as (

  select
    {", ".join(names.key)},
    {names.time},
    {{{{ encoded_features(encodings) }}}}
  from {"indexed" if indexed else "staged"}

)

select * from final
"""


def features_yml(proposal: Proposal) -> str:
    """Declaration of the feature table."""
    names = Names.of(proposal)
    key = [*names.key, names.time]
    columns = "\n".join([*key_columns(proposal, names), *_feature_columns(proposal, names)])
    listed = any(role.role == "one_hot" for role in proposal.features)
    tests = f"\n      - listed_categories: {{arguments: {{relation: ref('{names.staging}')}}}}" if listed else ""
    entity = yaml_value(names.key[0] if len(names.key) == 1 else names.key)
    return f"""models:
  - name: {names.features}
    description: >
      Features of the use case `{names.name}`. Each must be known at `{names.time}`, when a prediction is asked for.
    config:
      contract: {{enforced: true}}
      meta:
        grain: One row per {" and ".join(key)}.
        feature_catalog:
          is_feature_table: true
          entity: {entity}
          grain: {yaml_value(key)}
          timestamp_column: {yaml_value(names.time)}
          owner: data-science@example.com
          lifecycle: active
    data_tests:
      - unique_key: {{arguments: {{columns: {yaml_value(key)}}}}}{tests}
    columns:
{columns}
"""


def key_columns(proposal: Proposal, names: Names) -> Iterator[str]:
    """Declared columns of key and time."""
    kinds = {role.name: role.profile.column.kind for role in proposal.roles}
    for column in names.key:
        yield column_yml(column, kinds.get(column, "bigint"), "Identifier of the row.")
    yield column_yml(names.time, "timestamp", "Time from which the features of the row are known, UTC.")


def _feature_columns(proposal: Proposal, names: Names) -> Iterator[str]:
    for role in proposal.features:
        column, source = raw_input(role), role.profile.column.source_name
        if role.role == "one_hot":
            for category in categories(role):
                yield column_yml(f"{column}_{slug(category)}", "int", f"1 if {source} is {category}.")
        elif role.role == "category_index":
            about = f"Category index of {source}, from `{names.index(column)}`; 0 unknown."
            yield column_yml(f"{column}_index", "int", about)
        elif role.role == "flag":
            yield column_yml(column, "int", f"1 if {source} is true.")
        else:
            yield from _number_columns(role, column, names)


def _number_columns(role: ColumnRole, column: str, names: Names) -> Iterator[str]:
    source = role.profile.column.source_name
    kind = "double" if role.role == "number" and role.profile.column.kind == "double" else "bigint"
    about = f"Days from {source} to {names.time}" if role.role == "days" else source
    if role.bounds:
        yield column_yml(f"{column}_cohort", "int", _about_cohorts(source, role.bounds))
    unknown = "; NULL if unknown" if role.lacks_numbers else ""
    yield column_yml(column, kind, f"{about}{unknown}.", required=not role.lacks_numbers)


def _about_cohorts(source: str, bounds: Sequence[int]) -> str:
    between = [f"{number} from {low} to {high - 1}" for number, (low, high) in enumerate(pairwise(bounds), 2)]
    cohorts = [f"1 below {bounds[0]}", *between, f"{len(bounds) + 1} from {bounds[-1]}"]
    return f"Cohort of {source}: {', '.join(cohorts)}; 0 unknown."


def index_sql(names: Names, column: str) -> str:
    """SQL of a category index."""
    return f"""{{{{ config(materialized='incremental', incremental_strategy='append', full_refresh=false) }}}}

{{{{ category_index(ref('{names.staging}'), '{column}') }}}}
"""


def index_yml(names: Names, role: ColumnRole) -> str:
    """Declaration of a category index."""
    column, unique = role.name, "\n        data_tests: [unique]"
    return f"""models:
  - name: {names.index(column)}
    description: >
      Category index of `{column}`. An integer is never changed or reused, and a new category gets the next one.
      0 is not in the table and means unknown.
    config:
      contract: {{enforced: true}}
      on_schema_change: fail
      meta:
        grain: One row per category ever seen.
    columns:
{column_yml(column, "string", "The category.", more=unique)}
{column_yml(f"{column}_index", "int", "Integer of the category, from 1.", more=unique)}
"""
