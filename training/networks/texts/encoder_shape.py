"""Sizes of a transformer over the tokens of a text."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EncoderShape:
    """Sizes of an encoder.

    Attributes:
        vocabulary: count of tokens.
        positions: most tokens of a text.
        width: numbers of a state; `heads` divides it.
        hidden: numbers between the two layers of a block.
        nearly_zero: added to the variance by a normalisation.
    """

    vocabulary: int
    positions: int
    width: int
    blocks: int
    heads: int
    hidden: int
    nearly_zero: float = 1e-12
