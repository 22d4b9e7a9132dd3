"""Convolutions with weight normalisation: torch's own in another form, set by the first batch, once."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from genbench.nn.weight_norm import DoublingConv, NormedConv, measuring


def batch(seed: int = 0, n: int = 16) -> Tensor:
    """Images of channels with different means and deviations."""
    x = torch.randn(n, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    return x * torch.tensor([0.1, 1.0, 30.0])[:, None, None] + torch.tensor([5.0, 0.0, -2.0])[:, None, None]


def seeded(gain: float = 1.0) -> NormedConv:
    torch.manual_seed(0)
    return NormedConv(3, 4, (2, 3), gain=gain)


@torch.no_grad()
def measured(conv: NormedConv, x: Tensor) -> NormedConv:
    with measuring(conv):
        conv(x)
    return conv


@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_the_first_batch_comes_out_with_mean_zero_and_the_gain_as_deviation(gain: float) -> None:
    answers = measured(seeded(gain), batch())(batch()).detach()
    std, mean = torch.std_mean(answers, dim=(0, 2, 3), correction=0)
    assert torch.allclose(mean, torch.zeros(4), atol=1e-4)
    assert torch.allclose(std, torch.full((4,), gain), rtol=1e-4)


def test_statistics_are_taken_once_and_only_where_they_are_asked_for() -> None:
    conv = seeded()
    conv(batch())
    assert not bool(conv.initialised)
    first = copy.deepcopy(measured(conv, batch()).state_dict())
    measured(conv, 100 * batch(1))
    assert all(torch.equal(value, first[name]) for name, value in conv.state_dict().items())


def test_it_answers_as_torchs_weight_norm_with_the_statistics_in_scale_and_bias() -> None:
    conv = measured(seeded(), batch())
    with torch.no_grad():
        conv.gain.add_(0.3 * torch.randn(4))
        conv.bias.add_(0.3 * torch.randn(4))
    other = nn.Conv2d(3, 4, (2, 3))
    with torch.no_grad():
        other.weight.copy_(conv.direction)
        other.bias.copy_(conv.bias - conv.gain * conv.loc / conv.std)
        other = weight_norm(other)
        other.parametrizations.weight.original0.copy_((conv.gain / conv.std)[:, None, None, None])
    assert torch.allclose(conv(batch(1)), other(batch(1)), rtol=1e-4, atol=1e-5)


def test_a_channel_that_is_the_same_everywhere_has_no_scale_of_its_own() -> None:
    conv = measured(seeded(), torch.full((4, 3, 5, 5), 7.0))
    assert torch.equal(conv.std, torch.ones(4))
    assert torch.allclose(conv(torch.full((2, 3, 5, 5), 7.0)), torch.zeros(()), atol=1e-5)


@pytest.mark.parametrize(("columns", "right"), [(3, 1), (2, 0)])
def test_doubling_is_the_transposed_convolution_that_the_authors_cut(columns: int, right: int) -> None:
    """down_shifted_deconv2d: all of 2 h + 1 rows and 2 w + columns - 1 columns, less the borders."""
    torch.manual_seed(0)
    conv, x = DoublingConv(3, columns, right), torch.randn(2, 3, 3, 4)
    weight, bias = conv.weights()
    whole = F.conv_transpose2d(x, weight.transpose(0, 1), bias, stride=2)
    side = 8 + columns - 1
    whole = torch.cat([whole, bias[:, None, None].expand(2, 3, 6, side - whole.shape[3])], dim=3)
    cut = whole[..., (columns - 1) // 2 : side - (columns - 1) // 2 if columns == 3 else side - 1]
    assert torch.allclose(conv(x), cut, atol=1e-6)
