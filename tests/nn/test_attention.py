"""Attention in every dtype, held to the formula written out."""

import pytest
import torch
from torch import Tensor

from genbench.nn.attention import LONGEST, attention


def written_out(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
    score = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        score = score.masked_fill(torch.ones(score.shape[-2:], dtype=torch.bool).triu(1), -torch.inf)
    return score.softmax(-1) @ v


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("positions", [5, LONGEST + 3])
def test_it_is_the_formula_with_its_slopes(
    positions: int, dtype: torch.dtype, error: float, causal: bool
) -> None:
    exact = [torch.randn(2, 2, positions, 8, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    low = [tensor.detach().to(dtype).requires_grad_() for tensor in exact]
    theirs, ours = written_out(*exact, causal=causal), attention(*low, causal=causal)
    assert ours.dtype == dtype
    # Rounding: 24 and 8 bits of mantissa, of sums of numbers around 1.
    torch.testing.assert_close(ours.double(), theirs, rtol=2 * error, atol=2 * error)
    weights = torch.randn_like(theirs)
    slopes = zip(
        torch.autograd.grad(ours, low, weights.to(dtype)),
        torch.autograd.grad(theirs, exact, weights),
        strict=True,
    )
    for mine, wanted in slopes:
        assert (mine.double() - wanted).abs().max() < 2 * error * wanted.abs().max()


def test_short_sequences_in_bfloat16_keep_the_accuracy_of_float32_inside() -> None:
    """The one rounding is that of the answer: half a unit in the eighth bit."""
    q, k, v = (torch.randn(2, 2, 16, 8).bfloat16() for _ in range(3))
    theirs = written_out(q.double(), k.double(), v.double(), causal=False)
    with torch.autocast("cpu", torch.bfloat16):
        ours = attention(q, k, v).double()
    assert bool(((ours - theirs).abs() <= 2**-8 * theirs.abs() + 1e-6).all())
