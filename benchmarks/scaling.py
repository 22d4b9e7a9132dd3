"""Growth of the cost with the size of images, batches, data sets, texts and sequences, and with processes.

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
from benchmarks.console import Announcer, Out, Rounds, Table, Threads, counts, show
from benchmarks.contenders import Ours
from benchmarks.fair_timing import medians, seconds
from benchmarks.images import RandomImages, RandomTexts, temporary_cache
from benchmarks.matched_networks import NOISE
from genbench.data import prepare
from genbench.runtime.progress import Progress
from genbench.training.loop import Trainer

__all__ = ["batch_sizes", "data_sets", "main", "processes", "resolutions", "texts", "tokens"]

NETWORK = ["model=ddpm", "network=unet", "network.multipliers=[1,2,2]", "network.attention_side=0"]
CHEAP = ["model=gan", "network.generator.width=8", "network.discriminator.width=8", *NOISE]
BATCH = 16  # of all resolutions, and of transformers
FOLDED = ["model=ddpm", "network=unet_folded"]  # the preset's network for 28x28
CAPTIONED = 512  # images with texts
TRANSFORMERS = {
    "dit": ["model=ddpm", "network=dit", "network.patch=1"],
    "image_gpt": ["model=autoregressive", "network=image_gpt"],
}
"""Models by name whose sequence has a token for each pixel."""


def main(
    sides: Annotated[str, typer.Option(help="Comma-separated resolutions.")] = "8,16,32,64",
    images: Annotated[
        str, typer.Option(help="Comma-separated sizes of data sets.")
    ] = "1000,10000,100000,1000000",
    batches: Annotated[str, typer.Option(help="Comma-separated batch sizes.")] = "16,32,64,128,256,512",
    words: Annotated[str, typer.Option(help="Comma-separated lengths of captions in words.")] = "4,16,64,128",
    squares: Annotated[
        str, typer.Option(help="Comma-separated sides of images whose pixels are tokens.")
    ] = "8,16,24,32",
    spent: Annotated[float, typer.Option("--seconds", min=0.01, help="Seconds of a turn.")] = 3.0,
    rounds: Rounds = 3,
    threads: Threads = 1,
    out: Out = None,
) -> None:
    """Train by turns at each size, and print medians."""
    of_images, of_batches, of_data = (
        counts(text, option)
        for option, text in {"--sides": sides, "--batches": batches, "--images": images}.items()
    )
    of_texts, of_tokens = counts(words, "--words"), counts(squares, "--squares")
    torch.set_num_threads(threads)
    tables = [
        resolutions(of_images, spent=spent, rounds=rounds),
        batch_sizes(of_batches, spent=spent, rounds=rounds),
        data_sets(of_data, spent=spent, rounds=rounds),
        texts(of_texts, spent=spent, rounds=rounds),
        tokens(of_tokens, spent=spent, rounds=rounds),
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


def batch_sizes(sizes: Sequence[int], *, spent: float, rounds: int) -> Table:
    """Training speed of one network at some batch sizes; it should rise, or stay."""
    trained = [Ours(f"batch {n}", [*FOLDED, *NOISE, f"trainer.batch_size={n}"]) for n in sizes]
    rates = medians([partial(rate, ours, spent) for ours in trained], rounds)
    rows = [
        {"batch": n, "images/s": images, "of the first": images / rates[0]}
        for n, images in zip(sizes, rates, strict=True)
    ]
    return Table("Growth with the batch", rows, ("The preset's DDPM for 28x28; a turn ends with a step.",))


def texts(lengths: Sequence[int], *, spent: float, rounds: int) -> Table:
    """Training speed of a text-conditional model on captions of some lengths."""
    trained = []
    with temporary_cache():
        for n in lengths:
            sizes = ["text=small", f"text.length={n + 1}", f"trainer.batch_size={BATCH}"]
            source = RandomTexts(CAPTIONED, n)
            trained.append(
                Ours(f"{n} words", [*FOLDED, "data=captioned", "metrics=none", *sizes], source=source)
            )
        rates = medians([partial(rate, ours, spent) for ours in trained], rounds)
    rows = [
        {"words": n, "images/s": images, "of the first": images / rates[0]}
        for n, images in zip(lengths, rates, strict=True)
    ]
    notes = (f"The preset's DDPM on 32x32 with text=small, trained along; batches of {BATCH}.",)
    return Table("Growth with the texts", rows, notes)


def tokens(sides: Sequence[int], *, spent: float, rounds: int) -> Table:
    """Training speed of the transformers at some lengths of their sequences: a token for each pixel."""
    small = [*NOISE, f"trainer.batch_size={BATCH}"]
    trained = {
        (name, side): Ours(f"{name} {side}x{side}", [*words, *small, f"data.size={side}"])
        for name, words in TRANSFORMERS.items()
        for side in sides
    }
    rates = medians([partial(rate, ours, spent) for ours in trained.values()], rounds)
    rows = [
        {
            "network": name,
            "tokens": side**2,
            "images/s": images,
            "microseconds a token": 1e6 / (images * side**2),
            "GFLOP/s": ours.training_work() * images / 1e9,
        }
        for ((name, side), ours), images in zip(trained.items(), rates, strict=True)
    ]
    notes = (f"Batches of {BATCH}; beyond some hundred tokens attention grows as their square.",)
    return Table("Growth with the tokens", rows, notes)


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
