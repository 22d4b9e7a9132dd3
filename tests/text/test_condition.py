"""Texts as tokens and as vectors: which tensors they are, and the rows that guidance replaces."""

import pytest
import torch

from genbench.text.condition import Condition, Encoded, Encoding

TOKENS = torch.tensor([[3, 4], [5, 0], [0, 0]])


def encoded() -> Encoded:
    hidden = torch.arange(18.0).reshape(3, 2, 3)
    own = Encoding(hidden, torch.tensor([[True, True], [True, False], [True, False]]), hidden.sum(1))
    return Encoded(own, Encoding(torch.full((1, 2, 3), -1.0), own.mask[2:], torch.full((1, 3), -2.0)))


@pytest.mark.parametrize(
    ("tokens", "mask"),
    [
        (TOKENS, TOKENS[:2] > 0),
        (TOKENS[0], TOKENS[0] > 0),
        (TOKENS.float(), TOKENS > 0),
        (TOKENS, TOKENS),
    ],
)
def test_tensors_of_another_shape_or_dtype_are_refused(tokens: torch.Tensor, mask: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"must be \(B, L\) int64 and \(B, L\) bool"):
        Condition(tokens, mask)


def test_rows_are_taken_by_a_slice_and_by_their_numbers() -> None:
    condition = Condition(TOKENS, TOKENS > 0)
    assert len(condition) == 3
    assert condition[1:].tokens.tolist() == [[5, 0], [0, 0]]
    picked = condition[torch.tensor([2, 0])]
    assert picked.tokens.tolist() == [[0, 0], [3, 4]]
    assert picked.mask.tolist() == [[False, False], [True, True]]
    assert encoded()[torch.tensor([1])].pooled.tolist() == [encoded().pooled[1].tolist()]


def test_dropped_rows_are_the_empty_text_and_others_are_as_before() -> None:
    texts = encoded()
    found = texts.dropped(torch.tensor([False, True, False]))
    assert bool((found.hidden[1] == -1).all())
    assert found.pooled[1].tolist() == [-2, -2, -2]
    assert found.mask[1].tolist() == [True, False]
    for row in (0, 2):
        assert torch.equal(found.hidden[row], texts.hidden[row])
        assert torch.equal(found.pooled[row], texts.pooled[row])


def test_null_is_dropping_all() -> None:
    texts = encoded()
    null, dropped = texts.null(), texts.dropped(torch.ones(3, dtype=torch.bool))
    assert len(null) == 3
    for mine, theirs in zip(null.own, dropped.own, strict=True):
        assert torch.equal(mine, theirs)
