"""Options that take one of a few words."""

from typing import Any

import click

from lakehouse.errors import nearest


class OneOf(click.Choice[str]):  # noqa: TID251
    """One of the choices; another value is refused with the nearest of them.

    >>> OneOf(["binary", "regression"]).get_invalid_choice_message("regresion", None)
    "'regresion' is not one of 'binary', 'regression'. Did you mean 'regression'?"
    """

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """The message of click, and the nearest choice if one is near."""
        refused = super().get_invalid_choice_message(value, ctx)
        near = nearest(str(value).lower(), [str(choice) for choice in self.choices])
        return f"{refused} {near}" if near.startswith("Did you mean") else refused
