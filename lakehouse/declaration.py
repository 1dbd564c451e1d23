"""A part of a use-case file: frozen, and without a key that nobody reads."""

from pydantic import BaseModel, ConfigDict

from lakehouse.errors import nearest


class Declaration(BaseModel):
    """The base of every part; numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def known_word(what: str, word: str, known: list[str]) -> str:
    """The word, if it is known.

    Raises:
        ValueError: it is not; the nearest known one is named.
    """
    if word not in known:
        raise ValueError(f"no {what} '{word}'. {nearest(word, known)}")
    return word
