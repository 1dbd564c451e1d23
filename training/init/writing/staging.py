"""Landing model and staging model of a proposal."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lakehouse.settings import PROJECT
from lakehouse.tables.warehouse import sql_text
from lakehouse.wording import NO_TIME
from training.init.proposing.absent import without
from training.init.proposing.proposal import Proposal
from training.init.proposing.roles import ColumnRole
from training.init.reading.given import GivenColumn, absolute
from training.init.writing.literals import wrapped, yaml_value
from training.init.writing.names import Names

LANDING_ROOT = "{{ var('landing', env_var('LAKEHOUSE_LANDING', 'dbt_project/landing')) }}"


def raw_sql(proposal: Proposal) -> str:
    """SQL of the landing model."""
    return "{{ landing_file() }}\n" if proposal.table.is_delimited else "{{ landing_source() }}\n"


def raw_yml(proposal: Proposal) -> str:
    """Declaration of the landing model."""
    names, table = Names.of(proposal), proposal.table
    kind = "landing_file" if table.is_delimited else "landing_source"
    what = "Landing file, unchanged, with every field as text" if table.is_delimited else "Landing source, unchanged"
    options = "\n".join(f"          {name}: {_option(name, value)}" for name, value in _place(proposal).items())
    return f"""models:
  - name: {names.raw}
    description: {what}, and `row_number` from 1.
    config:
      meta:
        grain: One row per row of the source.
        {kind}:
{options}
    columns:
      - name: row_number
        description: Position in the source, from 1.
        data_tests: [unique, not_null]
"""


def _place(proposal: Proposal) -> Mapping[str, Any]:
    table = proposal.table
    if table.copied is not None:
        return {"path": f"{LANDING_ROOT}/{proposal.name}/{table.copied.name}"} | {
            name: value for name, value in table.landing.items() if name != "path"
        }
    options = dict(table.landing)
    if "path" in options:
        options["path"] = _shortest(str(options["path"]))
    elif urlsplit(str(options["url"])).password is not None:
        del options["url"]
        options["url_variable"] = secret_variable(proposal.name)
    return options


def secret_variable(name: str) -> str:
    """The environment variable for the address of a database that has a password."""
    return f"{name.upper()}_DATABASE_URL"


def _shortest(path: str) -> str:
    place = absolute(path)
    return str(place.relative_to(PROJECT) if place.is_relative_to(PROJECT) else place)


def _option(name: str, value: Any) -> str:
    if isinstance(value, str) and ("{{" in value or value in {",", ";", "|", "\t", "."}):
        return '"' + value.replace("\t", "\\t") + '"'
    if isinstance(value, list | tuple):
        return wrapped([yaml_value(item) for item in value], 12 + len(name))
    if isinstance(value, dict):
        items = [f"{yaml_value(key)}: {yaml_value(item)}" for key, item in value.items()]
        return "{" + wrapped(items, 12 + len(name))[1:-1] + "}"
    return yaml_value(value)


def staging_sql(proposal: Proposal) -> str:
    """SQL of the staging model: texts become types, and every row gets a key and a time."""
    names = Names.of(proposal)
    selected = ",\n".join(f"    {expression} as {name}" for name, expression in _columns(proposal, names))
    return f"""with landed as (

  select * from {{{{ ref('{names.raw}') }}}}

),

final as (

  select
{selected}
  from landed

)

select * from final
"""


def _columns(proposal: Proposal, names: Names) -> Iterator[tuple[str, str]]:
    """Name and SQL of each staging column."""
    identity = proposal.identity
    if not identity.key:
        yield names.key[0], "row_number"
    if identity.time is None:
        yield names.time, f"timestamp'{NO_TIME:%Y-%m-%d %H:%M:%S}'"
    time = next((role for role in proposal.roles if role.role == "time"), None)
    for role in proposal.roles:
        if role.role == "days" and time is not None:
            yield f"{role.name}_days", f"cast(datediff({_typed(time)}, {_typed(role)}) as bigint)"
        elif role.role != "out":
            yield role.name, _typed(role)


def _typed(role: ColumnRole) -> str:
    column = role.profile.column
    value = without(_value(column), column)
    if role.role == "time":
        return f"cast({value} as timestamp)"
    return f"cast({value} as string)" if role.as_text else value


def _value(column: GivenColumn) -> str:
    if column.kind == "string":
        return f"nullif(trim({column.name}), '')"
    if not column.is_text:
        return column.name
    if column.truth is not None:
        true, false = map(sql_text, column.truth)
        return f"case lower(trim({column.name})) when {true} then true when {false} then false end"
    return f"try_cast(trim({column.name}) as {column.kind})"


def staging_yml(proposal: Proposal) -> str:
    """Declaration of the staging model, with a contract."""
    names = Names.of(proposal)
    columns = "\n".join(_declared(proposal, names))
    left_out = [f"{role.name} ({role.why})" for role in proposal.roles if role.role == "out"]
    without = f" Left out: {'; '.join(left_out)}." if left_out else ""
    description = yaml_value(f"Rows of {Path(proposal.table.source).name}, typed, with empty texts as NULL.{without}")
    return f"""models:
  - name: {names.staging}
    description: {description}
    config:
      contract: {{enforced: true}}
      meta:
        grain: One row per row of the source.
    columns:
{columns}
"""


def _declared(proposal: Proposal, names: Names) -> Iterator[str]:
    if not proposal.identity.key:
        yield column_yml(names.key[0], "bigint", "Row number in the source, which has no key.")
    if proposal.identity.time is None:
        yield column_yml(names.time, "timestamp", "The same for all rows, because the source has no time.")
    for role in proposal.roles:
        absent = role.profile.column.missing_values
        without_value = f"; {' or '.join(map(str, absent))} means a missing value" if absent else ""
        about = f"`{role.profile.column.source_name}` of the source{without_value}."
        if role.role == "days":
            about = f"Days from `{role.profile.column.source_name}` to {names.time}."
            yield column_yml(f"{role.name}_days", "bigint", about, required=not role.profile.missing)
        elif role.role != "out":
            kind = "timestamp" if role.role == "time" else "string" if role.as_text else role.profile.column.kind
            yield column_yml(role.name, kind, about, required=not role.profile.missing)


def column_yml(name: str, kind: str, description: str, *, required: bool = True, more: str = "") -> str:
    """A column of a model's declaration."""
    constraints = "\n        constraints: [{type: not_null}]" if required else ""
    return f"""      - name: {yaml_value(name)}
        data_type: {kind}
        description: {yaml_value(description)}{constraints}{more}"""
