"""Growth of the cost with the size of the images, with the size of the data set, and with processes.

`python -m benchmarks.scaling`
"""

import inspect
import os
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import torch
import typer

from benchmarks.commands import run_to_end
from benchmarks.console import Announcer, Out, Rounds, Table, Threads, show
from benchmarks.contenders import Ours
from benchmarks.fair_timing import medians, seconds
from benchmarks.images import RandomImages, temporary_cache
from benchmarks.matched_networks import NOISE
from genbench.cli.sample import listed
from genbench.data import prepare
from genbench.runtime.progress import Progress
from genbench.training.loop import Trainer

__all__ = ["data_sets", "main", "processes", "resolutions"]

NETWORK = ["model=ddpm", "network=unet", "network.multipliers=[1,2,2]", "network.attention_side=0"]
CHEAP = ["model=gan", "network.generator.width=8", "network.discriminator.width=8", *NOISE]
BATCH = 16  # of all resolutions


def main(
    sides: Annotated[str, typer.Option(help="Comma-separated resolutions.")] = "8,16,32,64",
    images: Annotated[
        str, typer.Option(help="Comma-separated sizes of data sets.")
    ] = "1000,10000,100000,1000000",
    spent: Annotated[float, typer.Option("--seconds", min=0.01, help="Seconds of a turn.")] = 3.0,
    rounds: Rounds = 3,
    threads: Threads = 1,
    out: Out = None,
) -> None:
    """Train by turns at each size, and print medians."""
    torch.set_num_threads(threads)
    tables = [
        resolutions(listed(sides, int), spent=spent, rounds=rounds),
        data_sets(listed(images, int), spent=spent, rounds=rounds),
        processes(threads=threads),
    ]
    show(tables, out)


def resolutions(sides: Sequence[int], *, spent: float, rounds: int) -> Table:
    """Training speed of one network at some resolutions; the time for a pixel should be constant."""
    small = [*NETWORK, *NOISE, f"trainer.batch_size={BATCH}"]
    trained = [Ours(f"{side}x{side}", [*small, f"data.size={side}"]) for side in sides]
    rates = medians([partial(rate, ours, spent) for ours in trained], rounds)
    rows = [
        {
            "pixels": f"{side}x{side}",
            "images/s": images,
            "microseconds a pixel": 1e6 / (images * side**2),
            "GFLOP/s": ours.training_work() * images / 1e9,
        }
        for side, images, ours in zip(sides, rates, trained, strict=True)
    ]
    notes = (f"The same U-Net (width 16, three levels, no attention), batches of {BATCH}.",)
    return Table("Growth with resolution", rows, notes)


def data_sets(sizes: Sequence[int], *, spent: float, rounds: int) -> Table:
    """Training speed of a cheap network on stores of some sizes on the disk."""
    announcer, built, trained = Announcer(len(sizes)), [], []
    with temporary_cache():
        for n in sizes:
            announcer.begin(f"{n} images")
            ours = Ours(f"{n} images", CHEAP, source=RandomImages(n))
            trained.append(ours)
            built.append(seconds(partial(store, ours)))
        rates = medians([partial(rate, ours, spent) for ours in trained], rounds)
    rows = [
        {"images": n, "images/s": images, "of the first": images / rates[0], "making the store, s": made}
        for n, images, made in zip(sizes, rates, built, strict=True)
    ]
    return Table(
        "Growth with the data set",
        rows,
        ("On the disk, 28x28; a small GAN, whose steps are mostly the loop.",),
    )


def processes(*, threads: int) -> Table:
    """Training speed of one process and of two, each with as many threads, at one global batch."""
    title = "Growth with processes"
    if "devices" not in inspect.signature(Trainer).parameters:
        return Table(title, [], ("Left out: this version has no trainer.devices.",))
    if len(os.sched_getaffinity(0)) < 2 * threads:
        return Table(title, [], (f"Left out: two processes of {threads} threads need as many cores.",))
    words = ["model=ddpm", "network=unet_folded", *NOISE, "budget.images=4096"]
    records = [run_to_end([*words, f"trainer.devices={n}"], threads=threads) for n in (1, 2)]
    rates = [record["cost"]["images_per_second"] for record in records]
    rows = [{"processes": n, "images/s": images} for n, images in zip((1, 2), rates, strict=True)]
    return Table(title, rows, ("One global batch of 64; gloo.",))


def rate(ours: Ours, spent: float) -> float:
    """Training speed of one turn, in images a second."""
    return ours.train(spent).rate


def store(ours: Ours) -> None:
    """Build the image store that the training reads."""
    prepare(ours.parts.source, progress=Progress(None))


if __name__ == "__main__":
    typer.run(main)
