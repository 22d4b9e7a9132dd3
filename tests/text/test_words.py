"""Words and their vocabulary: which words are one, how unknown ones are spelled, what a checkpoint holds."""

import torch

from genbench.text.words import FIRST, frequent_words, packed, tokens_of, unpacked, words_of

TEXTS = ["A seven above a three.", "a SEVEN, and a four", "", "a seven"]


def test_case_accents_and_spaces_make_no_other_words() -> None:
    assert words_of("  Café,\tcafe\u0301! ") == ["café", ",", "café", "!"]
    assert words_of("") == words_of(" \n") == []


def test_a_vocabulary_is_the_most_frequent_words_and_ties_go_by_the_alphabet() -> None:
    assert frequent_words(TEXTS, 3) == ["a", "seven", ","]
    assert frequent_words([*TEXTS, "w" * 33], 100)[-1] == "three"  # a longer word has no row


def test_spelled_words_cannot_be_mistaken_for_others() -> None:
    """Each ends with a token of its own: "ab c" is not "a bc", and no byte is a word."""
    found = [tokens_of(text, {"a": 0}) for text in ("ab c", "a bc", "abc", "a")]
    assert len({tuple(tokens) for tokens in found}) == 4
    assert found[3] == [FIRST]
    assert tokens_of("é", {}) == [*"é".encode(), 256]
    assert tokens_of("\ud800", {}) == [63, 256]  # half a surrogate has no bytes


def test_a_vocabulary_comes_back_from_its_bytes() -> None:
    words = ["a", "t-shirt", "sieben", "七", "w" * 32]
    assert unpacked(packed(words, 8)) == words
    assert packed(words, 8).shape == (8, 32)
    damaged = torch.full((1, 32), 255, dtype=torch.uint8)
    assert unpacked(damaged) == ["\N{REPLACEMENT CHARACTER}" * 32]
