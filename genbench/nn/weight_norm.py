"""Convolutions with weight normalisation, whose scales are those of the first batch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.autoregressive.network import Cache
from genbench.runtime import global_batch

__all__ = ["DoublingConv", "NormedConv", "measuring"]

START_STD = 0.05
LEAST_VARIANCE = 1e-6


class NormedConv(nn.Module):
    """g (V * x / |V| - loc) / std + b, |V| over the weights of an output: (B, I, h, w) -> (B, O, h', w').

    loc and std (O,) are the mean and the standard deviation of V * x / |V| over the first batch of a training
    (see `measuring`), 0 and 1 before it; they never change then. g starts at `gain`, b at 0: so the answers
    to the first batch have standard deviation `gain`.
    Statistics are buffers and corrections parameters, for the reason that genbench.flows.actnorm has.
    kernel: sides of the window. stride: steps of it. Nothing is padded.
    Source: Salimans & Kingma 2016, Section 2 and 3; the authors fold loc and std into g and b. Here g is
    learned relative to them, so that a step of Adam moves every scale by the same share.
    """

    loc: Tensor
    std: Tensor
    initialised: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Sequence[int] = (1, 1),
        *,
        stride: int = 1,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.stride, self.is_measuring = stride, False
        self.direction = nn.Parameter(START_STD * torch.randn(outputs, inputs, *kernel))
        self.gain = nn.Parameter(torch.full((outputs,), gain))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("loc", torch.zeros(outputs))
        self.register_buffer("std", torch.ones(outputs))
        self.register_buffer("initialised", torch.tensor(False))

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        """cache: of sampling, where `weights` lie under this module, since they remain the same."""
        if self.is_measuring:
            self.measure(x)
        weight, bias = self.weights() if cache is None else cache.maps[self]
        return self.convolve(x, weight, bias)

    def weights(self) -> tuple[Tensor, Tensor]:
        """The weights and the bias of an ordinary convolution that answers the same: (O, I, ..), (O,)."""
        scale = self.gain / self.std
        return self.direction * per_output(scale / length(self.direction)), self.bias - scale * self.loc

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """x (B, I, h, w), weight (O, I, ..), bias (O,) or none -> (B, O, h', w')."""
        return F.conv2d(x, weight, bias, stride=self.stride)

    def measure(self, x: Tensor) -> None:
        """Set the statistics, unless they are set, to those of the whole batch that x (B, I, h, w) is of."""
        h = self.convolve(x, self.direction * per_output(1 / length(self.direction))).float()
        mean = global_batch.mean(h.mean(dim=(0, 2, 3)))  # (O,)
        # A second pass, since the variance is about the mean of the whole batch.
        variance = global_batch.mean((h - mean[:, None, None]).square().mean(dim=(0, 2, 3)))
        self.loc.copy_(torch.where(self.initialised, self.loc, mean))
        # What is the same in all images, as at a corner, has no scale of its own.
        std = torch.where(variance > LEAST_VARIANCE, variance.sqrt(), 1.0)
        self.std.copy_(torch.where(self.initialised, self.std, std))
        self.initialised.fill_(True)


class DoublingConv(NormedConv):
    """The transpose of a shifted convolution of stride 2: (B, C, h, w) -> (B, C, 2 h, 2 w).

    Its window has two rows and `columns`, `right` of which are at the right of the pixel of stride 2.
    Source: Salimans et al. 2017, Section 2.3 and the authors' code (down_shifted_deconv2d).
    """

    def __init__(self, width: int, columns: int, right: int) -> None:
        super().__init__(width, width, (2, columns), stride=2)
        self.right = right

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        # As many columns are cut at either side, and those at the right are answered again.
        return F.conv_transpose2d(
            x, weight.transpose(0, 1), bias, 2, (0, self.right), output_padding=(0, self.right)
        )


@contextmanager
def measuring(network: nn.Module) -> Iterator[None]:
    """Context in which each forward pass of a normed convolution of a network sets its statistics first, if
    they are not set. Layers before it answer by theirs already.
    """
    convs = [conv for conv in network.modules() if isinstance(conv, NormedConv)]
    for conv in convs:
        conv.is_measuring = True
    try:
        yield
    finally:
        for conv in convs:
            conv.is_measuring = False


def length(direction: Tensor) -> Tensor:
    """|V| of each output, (O, I, h, w) -> (O,)."""
    return direction.flatten(1).norm(dim=1)


def per_output(values: Tensor) -> Tensor:
    """(O,) -> (O, 1, 1, 1), to multiply weights."""
    return values[:, None, None, None]
