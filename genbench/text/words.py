"""Words of texts, and a vocabulary of the most frequent ones, which spells all others by their bytes."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

__all__ = ["LONGEST", "frequent_words", "packed", "tokens_of", "unpacked", "words_of"]

LONGEST = 32
"""Bytes of the longest word that a vocabulary holds; longer ones are spelled."""
WORD = re.compile(r"\w+|[^\w\s]")
END = 256
"""Token that ends a word that is spelled; tokens 0 to 255 are bytes, those from 257 on are words."""
FIRST = 257
"""Token of the first word of a vocabulary."""


def words_of(text: str) -> list[str]:
    """Split a text into words and signs, in lower case and in Unicode's normal form NFC, so that "Café!" is
    "café" and "!", however its accent is written.
    """
    return WORD.findall(unicodedata.normalize("NFC", text.casefold()))


def frequent_words(texts: Iterable[str], most: int) -> list[str]:
    """Return the most frequent words of texts, at most `most` of up to LONGEST bytes; of words that are as
    frequent, the first in the order of the alphabet.
    """
    counts = Counter(word for text in texts for word in words_of(text) if len(spelled(word)) <= LONGEST)
    return sorted(counts, key=lambda word: (-counts[word], word))[:most]


def spelled(word: str) -> bytes:
    """Return the bytes of a word in UTF-8; half a surrogate, which has none, is a question mark."""
    return word.encode("utf-8", errors="replace")


def tokens_of(text: str, numbers: Mapping[str, int]) -> list[int]:
    """Return the tokens of a text: one for each word of a vocabulary, and for any other its bytes and END.
    numbers: the number of each word in the vocabulary, from 0 on.
    """
    return [
        token
        for word in words_of(text)
        for token in ([FIRST + numbers[word]] if word in numbers else [*spelled(word), END])
    ]


def packed(words: Sequence[str], most: int) -> Tensor:
    """Write a vocabulary of at most `most` words as bytes, a row each, filled up with zeros: (most, LONGEST)
    uint8, which a checkpoint holds.
    """
    table = torch.zeros(most, LONGEST, dtype=torch.uint8)
    for row, word in zip(table, words, strict=False):
        row[: len(spelled(word))] = torch.tensor(list(spelled(word)), dtype=torch.uint8)
    return table


def unpacked(table: Tensor) -> list[str]:
    """Read the vocabulary that `packed` has written: (most, LONGEST) uint8 -> words. Bytes of a checkpoint
    that are no text become question marks.
    """
    rows = (bytes(row).rstrip(b"\0") for row in table.tolist())
    return [row.decode("utf-8", errors="replace") for row in rows if row]
