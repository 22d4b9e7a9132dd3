"""Layers that are written by hand (genbench.nn.fast, flows.coupling.asinh) beside torch's own, by turns.

`python -m benchmarks.fast`
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn

from benchmarks.console import Out, Rounds, Table, Threads, show
from benchmarks.fair_timing import clock, medians
from genbench.flows.coupling import asinh
from genbench.nn.fast import GroupNorm, attention, conv_of_doubled

__all__ = ["main", "table"]

Layer = Callable[[Tensor], Tensor]
CHANNELS, SIDE = 32, 28  # of the largest maps of the presets for 28x28 images
NOTES = ("Forward and backward pass; ratio: torch's time over ours.",)


def main(
    batch: Annotated[int, typer.Option(min=1, help="Images of a pass.")] = 64,
    seconds: Annotated[float, typer.Option(min=0.001, help="Seconds of a turn.")] = 1.0,
    rounds: Rounds = 5,
    threads: Threads = 1,
    out: Out = None,
) -> None:
    """Time each layer and torch's own by turns, and print medians and ratios."""
    torch.set_num_threads(threads)
    show([table(batch=batch, seconds=seconds, rounds=rounds)], out)


def table(*, batch: int, seconds: float, rounds: int) -> Table:
    """Milliseconds of a forward and a backward pass of each layer, ours and torch's."""
    rows = []
    for name, (x, *layers) in cases(batch).items():
        ours, theirs = medians([partial(milliseconds, layer, x, seconds) for layer in layers], rounds)
        rows.append({"layer": name, "ours, ms": ours, "torch, ms": theirs, "ratio": theirs / ours})
    return Table("Layers written by hand", rows, NOTES)


def cases(batch: int) -> dict[str, tuple[Tensor, Layer, Layer]]:
    """The input, our layer and torch's, by name; maps (B, C, H, W) are channels_last."""
    maps = torch.randn(batch, CHANNELS, SIDE, SIDE).to(memory_format=torch.channels_last)
    small = torch.randn(batch, CHANNELS, SIDE // 2, SIDE // 2).to(memory_format=torch.channels_last)
    tokens = torch.randn(batch, 2, 49, CHANNELS).bfloat16()  # (B, heads, N, D) of maps of 7x7
    norm, conv = GroupNorm(CHANNELS // 4, CHANNELS), nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
    conv = conv.to(memory_format=torch.channels_last)
    return {
        "group norm, float32": (maps, norm, partial(nn.GroupNorm.forward, norm)),
        "group norm, bfloat16": (
            maps.bfloat16(),
            norm,
            lambda x: F.group_norm(x, norm.num_groups, norm.weight.bfloat16(), norm.bias.bfloat16()),
        ),
        "attention, bfloat16": (
            tokens,
            lambda x: attention(x, x, x),
            lambda x: F.scaled_dot_product_attention(x, x, x),
        ),
        "doubling and 3x3 convolution": (
            small,
            lambda x: conv_of_doubled(x, conv),
            lambda x: conv(F.interpolate(x, scale_factor=2, mode="nearest")),
        ),
        "asinh": (maps, asinh, torch.asinh),
    }


def milliseconds(layer: Layer, x: Tensor, seconds: float) -> float:
    """Mean time of a forward and a backward pass, repeated for at least so many seconds."""
    x, passes, begun = x.detach().requires_grad_(), 0, clock()
    while not passes or clock() - begun < seconds:
        y = layer(x)
        y.backward(torch.ones_like(y))
        passes += 1
    return 1000 * (clock() - begun) / passes


if __name__ == "__main__":
    typer.run(main)
