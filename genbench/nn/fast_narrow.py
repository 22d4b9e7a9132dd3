"""Convolutions with few channels on one side, which torch's kernels for a CPU take 8 or 16 of at least.

`python -m benchmarks.fast` times both. A row is one channel of all positions of a batch, N = B H W numbers.
"""

from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.forward_ad import unpack_dual

__all__ = ["FEW", "LONG", "conv_of_few", "conv_to_few"]

FEW = 4  # channels, up to which products are faster
LONG = 12  # positions of a row of the map, from which on moving rows takes little of the time
BOTH = (1, 1)  # a stride and a dilation of one


def conv_of_few(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """conv(x) for x (B, I, H, W) of few channels and a padding that keeps the size -> (B, O, H, W).

    Only the gradient for x is by products: torch's takes three times as long at 2 channels.
    """
    return OfFew.apply(x, conv.weight, conv.bias) if is_slow_in_torch(x, conv, conv.in_channels) else conv(x)


def conv_to_few(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """conv(x) for x (B, I, H, W), a padding that keeps the size and few outputs O -> (B, O, H, W).

    One product for all taps of the kernel, whose rows are then moved and added; the gradient for the weights
    is one product too.
    """
    return ToFew.apply(x, conv.weight, conv.bias) if is_slow_in_torch(x, conv, conv.out_channels) else conv(x)


def is_slow_in_torch(x: Tensor, conv: nn.Conv2d, channels: int) -> bool:
    """True where products are taken instead of a convolution that has so many channels on its narrow side."""
    return (
        channels <= FEW
        and x.shape[3] >= LONG
        and conv.kernel_size[0] > 1
        and x.device.type == "cpu"
        and x.dtype == conv.weight.dtype
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and unpack_dual(x).tangent is None  # there is no forward derivative
    )


class OfFew(torch.autograd.Function):
    """Convolution of few channels with its first derivative, that for x as a sum of moved rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=weight.shape[2] // 2)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:  # noqa: ANN401
        refuse_second_derivative()
        x, weight = ctx.saved_tensors
        of_x = None
        if ctx.needs_input_grad[0]:
            of_taps = weight.permute(1, 2, 3, 0).flatten(0, 2) @ as_rows(slope)  # (I k k, N)
            of_x = sum_of_taps(of_taps, x, weight.shape[2], mirror=True)
        _, of_weight, of_bias = torch_backward(slope, x, weight, [False, True, True])
        return of_x, of_weight, of_bias


class ToFew(torch.autograd.Function):
    """Convolution to few channels with its first derivative, that for the weights as one product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(x, weight)
        rows = weight.permute(0, 2, 3, 1).flatten(0, 2) @ as_rows(x)  # (O k k, N)
        return sum_of_taps(rows, x, weight.shape[2]).add_(bias[:, None, None])

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:  # noqa: ANN401
        refuse_second_derivative()
        x, weight = ctx.saved_tensors
        few, inputs, kernel, _ = weight.shape
        # The transpose of a convolution has its taps mirrored.
        mirrored = (taps(slope, kernel) @ as_rows(x).mT).view(few, kernel, kernel, inputs)
        of_weight = mirrored.flip(1, 2).permute(0, 3, 1, 2)
        of_x = torch_backward(slope, x, weight, [True, False, False])[0] if ctx.needs_input_grad[0] else None
        return of_x, of_weight, slope.sum((0, 2, 3))


def refuse_second_derivative() -> None:
    """Raise RuntimeError under create_graph=True, where a wrong second derivative would follow."""
    if torch.is_grad_enabled():
        raise RuntimeError("convolutions of coupling networks have no second derivative on a CPU")


def torch_backward(slope: Tensor, x: Tensor, weight: Tensor, wanted: list[bool]) -> tuple[Tensor, ...]:
    """torch's gradients for the input, the weight and the bias of a convolution of the same size."""
    margin = [weight.shape[2] // 2] * 2
    sizes = ([len(weight)], BOTH, margin, BOTH, False, [0, 0], 1)
    return torch.ops.aten.convolution_backward(slope, x, weight, *sizes, wanted)


def as_rows(x: Tensor) -> Tensor:
    """x (B, C, H, W) as (C, B H W): a transposed view where it lies with its channels last."""
    return x.movedim(1, -1).flatten(0, 2).mT


def taps(x: Tensor, kernel: int) -> Tensor:
    """Gather what each position of a convolution sees, 0 beyond the border: row (c, i, j) is channel c of
    x (B, C, H, W), moved up by i - k // 2 and left by j - k // 2. (C k k, B H W).
    """
    padded = F.pad(x.transpose(0, 1).contiguous(), [kernel // 2] * 4)  # (C, B, H + k - 1, W + k - 1)
    windows = padded.unfold(2, kernel, 1).unfold(3, kernel, 1)  # (C, B, H, W, k, k)
    return windows.permute(0, 4, 5, 1, 2, 3).reshape(len(padded) * kernel**2, -1)


def sum_of_taps(rows: Tensor, x: Tensor, kernel: int, *, mirror: bool = False) -> Tensor:
    """Sum over (i, j) the rows (c, i, j) of (C k k, B H W), moved up by i - k // 2 and left by j - k // 2;
    mirror: down and right, which is the transpose of `taps`. (B, C, H, W), channels last; x: of that B, H, W.
    """
    batch, _, height, width = x.shape
    parts = rows.view(-1, kernel, kernel, batch, height, width)
    total = parts[:, kernel // 2, kernel // 2].clone()  # (C, B, H, W)
    for i, j in product(range(kernel), repeat=2):
        up, left = (kernel // 2 - i, kernel // 2 - j) if mirror else (i - kernel // 2, j - kernel // 2)
        if (up, left) != (0, 0):
            to = total[:, :, max(0, -up) : height - max(0, up), max(0, -left) : width - max(0, left)]
            to += parts[:, i, j, :, max(0, up) : height + min(0, up), max(0, left) : width + min(0, left)]
    return total.transpose(0, 1).contiguous(memory_format=torch.channels_last)
