"""Texts as bytes come back as they were."""

import pytest

from genbench.text.spelled import read_spelled, spelled_out


@pytest.mark.parametrize("texts", [[], [""], ["a cat", "", "\u00e9t\u00e9 \U0001f408\x00", "x" * 300]])
def test_texts_come_back_from_their_bytes(texts: list[str]) -> None:
    assert read_spelled(spelled_out(texts)) == texts


def test_a_byte_that_is_no_text_is_a_question_mark() -> None:
    assert read_spelled(spelled_out(["a\ud800b"])) == ["a?b"]


def test_an_empty_text_has_no_token() -> None:
    assert not spelled_out(["", "a"]).mask[0].any()
