"""Terms of a text: words, sequences of words, and parts of words, by which a model reads it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from unicodedata import category, normalize

_WORD = re.compile(r"\w+")
PART = "#"  # marks a part of a word; no word contains it
CACHED = 4_096  # texts whose counts are remembered: a report predicts the same ones over and over

TermCounts = tuple[tuple[int, int], ...]  # (position in the vocabulary, count), by position


@dataclass(frozen=True)
class Analysis:
    """The rule that finds the terms of texts.

    Letters are compared without case and in one Unicode form: `STRASSE` is `Straße`, and an umlaut of two code points
    is that of one. It stays an umlaut: `schön` is not `schon`. A word is a run of letters, digits and underscores of
    any script.

    Attributes:
        words: fewest and most words of a term; None for no terms of words.
        characters: fewest and most characters of a part of a word, of which compound words share some; None for none.
        min_documents: a term of fewer texts is none of the vocabulary.
    """

    words: tuple[int, int] | None
    characters: tuple[int, int] | None = None
    min_documents: int = 1

    def terms(self, text: str) -> Iterator[str]:
        """The terms of the text, each as often as it occurs.

        >>> list(Analysis((1, 2)).terms("Sehr SCHÖN!"))
        ['sehr', 'schön', 'sehr schön']
        >>> list(Analysis(None, (4, 4)).terms("Tür"))
        ['# tür', '#tür ']
        """
        words = _WORD.findall(normalize("NFKC", normalize("NFKC", text).casefold()))
        if self.words is not None:
            for count in range(self.words[0], self.words[1] + 1):
                yield from words if count == 1 else map(" ".join, _sequences(words, count))
        if self.characters is not None:
            for word in words:
                yield from _parts(f" {word} ", *self.characters)

    def vocabulary(self, texts: Iterable[str]) -> list[str]:
        """The terms that at least `min_documents` of the texts contain, sorted."""
        documents = Counter(chain.from_iterable(set(self.terms(text)) for text in texts))
        return sorted(term for term, count in documents.items() if count >= self.min_documents)

    def counts(self, text: str, positions: Mapping[str, int]) -> TermCounts:
        """Position and count of each known term of a text, by position."""
        found = Counter(positions[term] for term in self.terms(text) if term in positions)
        return tuple(sorted(found.items()))


class TermReader:
    """Counts the terms of a vocabulary in texts, and remembers the last ones.

    Attributes:
        counts: the counts of a text, by position in the vocabulary.
    """

    def __init__(self, analysis: Analysis, vocabulary: Sequence[str]) -> None:
        self._made_of = (analysis, vocabulary)
        positions = {term: position for position, term in enumerate(vocabulary)}
        self.counts = lru_cache(CACHED)(partial(analysis.counts, positions=positions))

    def __reduce__(self) -> tuple[type["TermReader"], tuple[Analysis, Sequence[str]]]:
        """A copy in another process starts without remembered texts."""
        return type(self), self._made_of


def length(text: str) -> int:
    """Characters of a text, without the marks that belong to the letter before them.

    >>> length("scho\\u0308n"), length("sch\\u00f6n")
    (5, 5)
    """
    return len(text) if text.isascii() else sum(not category(character).startswith("M") for character in text)


def _sequences(words: Sequence[str], count: int) -> Iterator[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(count)), strict=False)


def _parts(word: str, fewest: int, most: int) -> Iterator[str]:
    """The parts of a word between blanks; a word shorter than a part is one itself."""
    for length in range(fewest, most + 1):
        yield PART + word[:length]
        for start in range(1, len(word) - length + 1):
            yield PART + word[start : start + length]
        if length >= len(word):
            return
