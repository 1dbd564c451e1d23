"""Rows with texts as rows of numbers: the numbers of a row, then the tokens of its texts.

A token is a word or a piece of one, by its number in the vocabulary of a tokenizer. A tokenizer is learned from the
texts of a fit, or comes with a pretrained model.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Self
from unicodedata import normalize

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin

from lakehouse.arrays import Floats

MOST_LETTERS = 1_000  # distinct characters of a vocabulary; rarer ones are unknown
PADDING, UNKNOWN, START = "[PAD]", "[UNK]", "[CLS]"
FEWEST = 2  # a piece that occurs less often is none of the vocabulary


class TokenRows(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """(rows, features) numbers and texts as (rows, numbers + tokens) doubles; 0 stands for no token.

    Every row has as many columns, so that a text has the same tokens alone and beside others. Letters are compared
    without case in one Unicode form; an umlaut stays one.

    Attributes:
        library: package that it needs.
        places: positions of the texts in a row; several texts are read one after another.
        tokens: columns of tokens; what follows in a text is ignored.
        vocabulary: most words and pieces of words that are learned; 0 for a given tokenizer.
        tokenizer: a given one, as the JSON of the package `tokenizers`; empty if it is learned.
        tokenizer_: the learned or given one.
    """

    library: ClassVar[str] = "tokenizers"

    def __init__(self, places: Sequence[int], tokens: int, vocabulary: int, tokenizer: str = "") -> None:
        self.places = places
        self.tokens = tokens
        self.vocabulary = vocabulary
        self.tokenizer = tokenizer

    def fit(self, x: npt.NDArray[Any], _y: object = None) -> Self:
        """Learn the tokenizer from the texts of the rows, if none is given."""
        self.tokenizer_ = self.tokenizer or learned_tokenizer(self._texts(x), self.vocabulary)
        return self

    def transform(self, x: npt.NDArray[Any]) -> Floats:
        """(rows, numbers + tokens) the numbers, then the tokens."""
        rows = np.zeros((len(x), x.shape[1] - len(self.places) + self.tokens))
        numbers = [at for at in range(x.shape[1]) if at not in self.places]
        rows[:, : len(numbers)] = x[:, numbers].astype(np.float64)
        for row, text in enumerate(self._texts(x)):
            ids = self._opened.encode(text).ids
            rows[row, len(numbers) : len(numbers) + len(ids)] = ids
        return rows

    def _texts(self, x: npt.NDArray[Any]) -> list[str]:
        return [normalize("NFC", "\n".join(row)) for row in x[:, list(self.places)].tolist()]

    @cached_property
    def _opened(self) -> Any:
        return opened(self.tokenizer_, self.tokens)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in super().__getstate__().items() if name != "_opened"}

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "tokenizer_")


def opened(tokenizer: str, tokens: int) -> Any:
    """A tokenizer of at most so many tokens, from its JSON."""
    from tokenizers import Tokenizer

    found = Tokenizer.from_str(tokenizer)
    found.no_padding()
    found.enable_truncation(tokens)
    return found


def learned_tokenizer(texts: Sequence[str], vocabulary: int) -> str:
    """The JSON of a tokenizer whose vocabulary is that of the texts: frequent words, and pieces of the others.

    Byte-pair encoding without marks of places in a word: a compound word shares its pieces with other words. Of
    equally frequent pairs the trainer takes that of the lower numbers, so the same texts have the same vocabulary.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.normalizers import NFKC, Lowercase
    from tokenizers.normalizers import Sequence as InOrder
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = InOrder([NFKC(), Lowercase(), NFKC()])
    tokenizer.pre_tokenizer = BertPreTokenizer()
    trainer = BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=FEWEST,
        limit_alphabet=min(MOST_LETTERS, vocabulary // 2),
        special_tokens=[PADDING, UNKNOWN, START],  # the numbers 0, 1 and 2
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    start = tokenizer.token_to_id(START)
    tokenizer.post_processor = TemplateProcessing(single=f"{START} $A", special_tokens=[(START, start)])
    return str(tokenizer.to_str())
