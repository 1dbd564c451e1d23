"""Label table of a proposal."""

from lakehouse.tables.warehouse import sql_text
from training.init.proposing.proposal import Proposal
from training.init.writing.gold import key_columns
from training.init.writing.literals import yaml_value
from training.init.writing.names import Names
from training.init.writing.staging import column_yml

_SAMPLED = """{{# Training reads one of this number of rows: a matrix of all of them would be too large. #}}
{{% set every = {every} %}}

"""


def labels_sql(proposal: Proposal) -> str:
    """SQL of the label table."""
    names, target, group = Names.of(proposal), proposal.target, proposal.identity.group
    fold = ""
    if group is not None:
        fold = f""",
    -- All rows of one {group} are in one fold, or in the holdout.
    case
      when pmod(xxhash64({group}), 5) = 0 then 'holdout'
      else concat('fold_', cast(pmod(xxhash64({group}), 3) as string))
    end as fold"""
    conditions = [f"{target.name} is not null"] if target.profile.missing else []
    every, sampled = proposal.sample.every, ""
    if every > 1:
        by = [group] if group is not None else names.key
        sampled = _SAMPLED.format(every=every)
        conditions.append(f"pmod(xxhash64({', '.join(by)}, 'sample'), {{{{ every }}}}) = 0")
    filled = f"\n  where {' and '.join(conditions)}" if conditions else ""
    return f"""{sampled}with staged as (

  select * from {{{{ ref('{names.staging}') }}}}

),

final as (

  select
    {", ".join(names.key)},
    {names.time},
    {_label(proposal)} as {target.name}{fold}
  from staged{filled}

)

select * from final
"""


def _label(proposal: Proposal) -> str:
    target = proposal.target
    kind = target.profile.column.kind
    if target.positive is not None:
        if kind == "boolean":
            return f"cast({target.name} as int)"
        positive = sql_text(target.positive) if isinstance(target.positive, str) else repr(target.positive)
        return f"cast({target.name} = {positive} as int)"
    if target.classes:
        return target.name if kind == "string" else f"cast({target.name} as int)"
    return f"cast({target.name} as double)"


def labels_yml(proposal: Proposal) -> str:
    """Declaration of the label table."""
    names, target = Names.of(proposal), proposal.target
    source, kind, more = target.profile.column.source_name, "double", ""
    about = f"`{source}` of the source, the number to predict."
    if target.positive is not None:
        about, kind = f"1 if `{source}` is {target.positive_word}, else 0.", "int"
        more = f"""
        constraints:
          - {{type: not_null}}
          - {{type: check, expression: "{target.name} in (0, 1)"}}"""
    elif target.classes:
        about = f"`{source}` of the source, the class to predict."
        kind = "string" if isinstance(target.classes[0], str) else "int"
        values = yaml_value(list(target.classes))
        quote = "" if kind == "string" else ", quote: false"
        more = f"\n        data_tests:\n          - accepted_values: {{arguments: {{values: {values}{quote}}}}}"
    # The constraints of a binary label say NOT NULL beside their check.
    label = column_yml(target.name, kind, about, required=target.positive is None, more=more)
    columns = [*key_columns(proposal, names), label]
    if proposal.identity.group is not None:
        columns.append(column_yml("fold", "string", "Fold of the row, or `holdout`."))
    listed = "\n".join(columns)
    return f"""models:
  - name: {names.labels}
    description: Spine of the use case `{names.name}`, with `{source}` as the label.
    config:
      contract: {{enforced: true}}
      meta:
        grain: One row per {" and ".join([*names.key, names.time])}.
    data_tests:
      - unique_key: {{arguments: {{columns: {yaml_value([*names.key, names.time])}}}}}
    columns:
{listed}
"""
