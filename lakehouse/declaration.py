"""Declarations: sections of a use-case file, frozen and without unknown keys."""

from pydantic import BaseModel, ConfigDict

from lakehouse.errors import nearest


class Declaration(BaseModel):
    """Base of every declaration; numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def known_word(subject: str, word: str, known: list[str]) -> str:
    """Return the word if it is known.

    Raises:
        ValueError: the word is unknown; the message suggests the nearest known one.
    """
    if word not in known:
        raise ValueError(f"no {subject} '{word}'. {nearest(word, known)}")
    return word
