"""Peak speed of this machine, and the share of it that the training of a U-Net reaches.

`python -m benchmarks.machine`
"""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from torch import Tensor

from benchmarks.console import Out, Rounds, Table, Threads, show
from benchmarks.contenders import CPU
from benchmarks.fair_timing import clock, medians
from benchmarks.matched_networks import group
from genbench.training import flops

__all__ = ["best", "main", "peaks", "products", "shares"]

DTYPES = (torch.float32, torch.bfloat16)


def main(
    spent: Annotated[float, typer.Option("--seconds", min=0.001, help="Seconds of a turn.")] = 1.0,
    rounds: Rounds = 5,
    threads: Threads = 1,
    out: Out = None,
) -> None:
    """Measure products and convolutions on one thread and on all, then a U-Net's training step."""
    rows, single = [], {}
    for count in sorted({1, threads, len(os.sched_getaffinity(0))}):
        torch.set_num_threads(count)
        found = peaks(CPU, spent=spent, rounds=rounds)
        single = single or found
        rows += [{"threads": count, "what": name, "GFLOP/s": rate / 1e9} for name, rate in found.items()]
    torch.set_num_threads(1)
    show([Table("The machine", rows), shares(single, spent=spent, rounds=rounds)], out)


def peaks(device: torch.device, *, spent: float, rounds: int, size: int = 1024) -> dict[str, float]:
    """The best rates of products and of 3x3 convolutions in each precision, in operations a second."""
    found = {}
    for dtype in DTYPES:
        name = str(dtype).removeprefix("torch.")
        for kind, works in (("product", products), ("convolution", convolutions)):
            found[f"{kind} {name}"] = best(works(device, dtype, size), device, spent=spent, rounds=rounds)
    return found


def best(works: list[Callable[[], object]], device: torch.device, *, spent: float, rounds: int) -> float:
    """Operations a second of the fastest of some functions, each the median over turns."""
    return max(medians([partial(rate, work, device, spent, flops.count(work)) for work in works], rounds))


def rate(work: Callable[[], object], device: torch.device, spent: float, operations: int) -> float:
    """Operations a second of a function that is repeated for `spent` seconds.

    operations: of one call.
    """
    done, passed, now = 0, 0.0, clock if device.type == "cpu" else time.perf_counter
    while passed < spent:
        count = max(1, done)  # twice as many each time, so that a look at the clock costs nothing
        begun = now()
        repeated(work, device, count)
        passed += now() - begun
        done += count
    return operations * done / passed


def repeated(work: Callable[[], object], device: torch.device, count: int) -> None:
    """Call a function `count` times, and wait for the device."""
    for _ in range(count):
        work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def products(device: torch.device, dtype: torch.dtype, size: int) -> list[Callable[[], Tensor]]:
    """Functions that multiply square matrices, of two sizes."""
    return [partial(torch.mm, *(torch.randn(2, n, n, device=device, dtype=dtype))) for n in (size // 2, size)]


def convolutions(device: torch.device, dtype: torch.dtype, size: int) -> list[Callable[[], Tensor]]:
    """3x3 convolutions forward, channels_last, of few channels on large maps and of many on small ones."""
    works: list[Callable[[], Tensor]] = []
    for channels, side in ((size // 16, 28), (size // 8, 14), (size // 4, 7)):
        x, weight = (
            torch.randn(shape, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)
            for shape in ((32, channels, side, side), (channels, channels, 3, 3))
        )
        works.append(partial(F.conv2d, x, weight, padding=1))
    return works


def shares(machine: dict[str, float], *, spent: float, rounds: int) -> Table:
    """Training of our U-Nets on one thread, as a share of the best convolution.

    machine: the result of `peaks`.
    """
    peak, rows = machine["convolution float32"], []
    ours, _ = group("ddpm")
    rates = medians([lambda who=who: who.train(spent).rate for who in ours], rounds)
    for who, images in zip(ours, rates, strict=True):
        reached = who.training_work() * images
        row = {"what": f"training of {who.name}", "images/s": images, "GFLOP/s": reached / 1e9}
        rows.append(row | {"share": reached / peak})
    return Table("Share of the fp32 convolution peak of one thread", rows)


if __name__ == "__main__":
    typer.run(main)
