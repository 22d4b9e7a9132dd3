"""Convolutions with few channels, compared with torch's own."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from genbench.nn import fast_narrow
from genbench.nn.fast_narrow import FEW, LONG, conv_of_few, conv_to_few, is_slow_in_torch

NARROW = [(conv_of_few, 2, 6), (conv_to_few, 6, 4)]


@pytest.fixture(autouse=True)
def small_maps_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take products for maps of any size, so that small ones test them."""
    monkeypatch.setattr(fast_narrow, "LONG", 1)


def layer(inputs: int, outputs: int, kernel: int, dtype: torch.dtype) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, dtype=dtype)


@pytest.mark.parametrize(("narrow", "inputs", "outputs"), NARROW)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("batch", "size"), [(3, (5, 7)), (3, (2, 1)), (1, (1, 1))])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_values_and_slopes_are_those_of_a_convolution(
    narrow: Callable[[Tensor, nn.Conv2d], Tensor],
    inputs: int,
    outputs: int,
    layout: torch.memory_format,
    batch: int,
    size: tuple[int, int],
    kernel: int,
    dtype: torch.dtype,
    error: float,
) -> None:
    conv = layer(inputs, outputs, kernel, dtype)
    before = [p.detach().clone() for p in conv.parameters()]
    x = torch.randn(batch, inputs, *size, dtype=dtype).contiguous(memory_format=layout).requires_grad_()
    ours, theirs = narrow(x, conv), conv(x)
    torch.testing.assert_close(ours, theirs, rtol=error, atol=error)  # sums of at most 150 numbers of order 1
    wanted, weights = (x, *conv.parameters()), torch.randn(theirs.shape, dtype=dtype)
    mine, plain = (torch.autograd.grad(y, wanted, weights) for y in (ours, theirs))
    torch.testing.assert_close(mine, plain, rtol=error, atol=10 * error)  # sums over 105 positions
    assert all(
        torch.equal(p, b) for p, b in zip(conv.parameters(), before, strict=True)
    )  # no alias of a bias


@pytest.mark.parametrize(("narrow", "inputs", "outputs"), NARROW)
def test_a_second_derivative_is_refused(
    narrow: Callable[[Tensor, nn.Conv2d], Tensor], inputs: int, outputs: int
) -> None:
    x = torch.randn(1, inputs, 4, 4, requires_grad=True)
    answer = narrow(x, layer(inputs, outputs, 3, torch.float32))
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(answer.sum(), x, create_graph=True)


def test_products_are_for_few_channels_large_maps_full_precision_and_slopes_backwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, conv = torch.randn(1, FEW, 4, 4), layer(FEW, 8, 3, torch.float32)
    assert is_slow_in_torch(x, conv, FEW)
    assert not is_slow_in_torch(x, conv, FEW + 1)
    monkeypatch.setattr(fast_narrow, "LONG", LONG)
    assert not is_slow_in_torch(x, conv, FEW)
    monkeypatch.setattr(fast_narrow, "LONG", 1)
    assert not is_slow_in_torch(x, layer(FEW, 8, 1, torch.float32), FEW)
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_slow_in_torch(x, conv, FEW)
    seen = []
    torch.func.jvp(lambda x: (seen.append(is_slow_in_torch(x, conv, FEW)), x)[1], (x,), (x,))
    assert seen == [False]
