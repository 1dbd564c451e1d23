"""Use-case file of a proposal."""

from datetime import date, datetime
from typing import Any

from lakehouse.tables.scan import quoted
from training.init.proposing.metrics import metrics_of
from training.init.proposing.proposal import Proposal
from training.init.proposing.roles import ColumnRole
from training.init.proposing.target import as_text
from training.init.writing.gold import raw_input
from training.init.writing.literals import yaml_value
from training.init.writing.names import Names
from training.models import FAMILIES, SEARCHED

# Quick families of each kind; docs/training.md lists all of them.
_FAMILIES = ("logistic_regression", "ridge", "random_forest", "extra_trees", "lightgbm", "xgboost", "catboost")


def use_case_yml(proposal: Proposal) -> str:
    """The use case, checked key by key when it is loaded."""
    names, target = Names.of(proposal), proposal.target
    task = target.task
    families = [name for name in _FAMILIES if name in SEARCHED and task in FAMILIES[name].tasks]
    entity = yaml_value(names.key[0] if len(names.key) == 1 else names.key)
    classes = f"\n  classes: {yaml_value(target.classes)}" if target.classes else ""
    fields = list(task.fields[:2]) if task.predicts_classes else []
    if target.classes and "probabilities" in task.fields:
        fields.append("probabilities")
    serving = {"endpoint": names.name.replace("_", "-"), **({"fields": fields} if fields else {})}
    request = "\n".join(f"  {field}: {yaml_value(value)}" for field, value in golden_request(proposal).items())
    metrics = metrics_of(target)
    return f"""# yaml-language-server: $schema=schema.json
# Predicts `{target.profile.column.source_name}` of {_file(proposal)}.
name: {names.name}
task: {task.name}
labels:
  table: gold.{names.labels}
  entity: {entity}
  timestamp: {yaml_value(names.time)}
  column: {yaml_value(target.name)}{classes}
features:
  - {{table: gold.{names.features}}}
split: {yaml_value(proposal.split)}
search:
  method: tpe
  max_evals: 40
  max_minutes: 10
  metric: {metrics.search}
  portfolio: true
  families: {yaml_value(families)}
  seed: 1
promotion:
  metric: {metrics.promotion}
  # {metrics.why}
  minimum: {metrics.minimum}
  margin: 0.02
  min_rows: {_min_rows(proposal)}
  guards: {{max_p99_ms: 500, max_size_mb: 50}}
serving: {yaml_value(serving)}
# A row of the source. Every version must reproduce its prediction for this request; `deployment.run ask` sends it.
golden_request:
{request}
"""


def _file(proposal: Proposal) -> str:
    table = proposal.table
    return (
        table.copied.name
        if table.copied is not None
        else str(table.landing.get("table") or table.landing.get("path"))
    )


def _min_rows(proposal: Proposal) -> int:
    """Half of the holdout in a small table."""
    return min(100, max(5, proposal.target.profile.filled // 10))


def golden_request(proposal: Proposal) -> dict[str, Any]:
    """The first row in which most features have a value, as a request."""
    features = proposal.features
    time = proposal.identity.time
    terms = [
        f"date_diff('day', cast({quoted(role.name)} as date), cast({quoted(str(time))} as date))"
        if role.role == "days"
        else quoted(role.name)
        for role in features
    ]
    filled = " + ".join(f"({term} is not null)::int" for term in terms)
    row = proposal.table.connection.execute(
        f"select {', '.join(terms)} from (from rows order by row_number limit 1000) order by {filled} desc, row_number limit 1"  # noqa: E501
    ).fetchone()
    return {raw_input(role): _sent(value, role) for role, value in zip(features, row or (), strict=True)}


def _sent(value: Any, role: ColumnRole) -> Any:
    if role.as_text and value is not None:
        return as_text(value)
    return value.isoformat() if isinstance(value, date | datetime) else value
