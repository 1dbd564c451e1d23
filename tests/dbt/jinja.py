"""The macros of the project in dbt's Jinja, called from Python without a dbt run."""

from types import SimpleNamespace
from typing import Any

from dbt.context.base import BaseContext, get_context_modules
from dbt.context.exceptions_jinja import wrapped_exports
from dbt_common.clients.jinja import CallableMacroGenerator, extract_toplevel_blocks

from lakehouse.settings import PROJECT

MACROS = PROJECT / "dbt_project" / "macros"


def context_with_macros(*files: str, **names: Any) -> dict[str, Any]:
    """Context of dbt with the macros of some files and further names; `dispatch` takes the default version."""
    context: dict[str, Any] = {
        "adapter": SimpleNamespace(),
        "exceptions": wrapped_exports(None),
        "execute": True,
        "modules": get_context_modules(),
        "return": BaseContext._return,
        "tojson": BaseContext.tojson,
        **names,
    }
    context["context"] = context
    context["adapter"].dispatch = lambda macro, *_: context[f"default__{macro}"]
    for file in files:
        text = (MACROS / file).read_text(encoding="utf-8")
        blocks: list[Any] = extract_toplevel_blocks(text, {"macro"}, collect_raw_data=False)
        for block in blocks:
            macro: Any = SimpleNamespace(name=block.block_name, macro_sql=block.full_block)
            context[block.block_name] = CallableMacroGenerator(macro, context)
    return context
