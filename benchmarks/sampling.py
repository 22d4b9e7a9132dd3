"""Sampling speed at equal sizes and equal steps (diffusion: DDIM, 50): ours and the peers by turns.

`python -m benchmarks.sampling`
"""

import time
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import torch
import typer

from benchmarks.console import Announcer, Only, Out, Precision, Rounds, Table, Threads, chosen, show
from benchmarks.contenders import Contender
from benchmarks.fair_timing import clock, medians
from benchmarks.matched_networks import GROUPS, comparison_rows, group

__all__ = ["main", "table"]

NOTES = (
    "MFLOP an image: of all its passes.",
    "Ratio: ours over the peer's; above 1, ours is faster.",
)


def main(
    seconds: Annotated[
        float, typer.Option(min=0.01, help="Seconds of a turn, which ends with a batch.")
    ] = 5.0,
    rounds: Rounds = 3,
    threads: Threads = 1,
    precision: Precision = "fp32",
    only: Only = "",
    out: Out = None,
) -> None:
    """Draw by turns, and print medians of images a second and their ratios."""
    torch.set_num_threads(threads)
    show([table(chosen(only, [*GROUPS]), seconds=seconds, rounds=rounds, precision=precision)], out)


def table(
    families: Sequence[str],
    *,
    seconds: float,
    rounds: int,
    precision: str = "fp32",
    samples: int | None = None,
) -> Table:
    """Sampling speed of ours and of the peers in some families.

    samples: in a batch, None as each family has it.
    """
    announcer, rows = Announcer(len(families)), []
    for name in families:
        announcer.begin(name)
        ours, peers = group(name, precision=precision, batch=samples)
        for who in (*ours, *peers):
            who.train(1e-3)  # one step: ActNorm starts from the statistics of data
        works = [partial(rate, who, seconds, samples or GROUPS[name].samples) for who in (*ours, *peers)]
        rows += comparison_rows(ours, peers, medians(works, rounds), lambda who: who.sampling_work())
    return Table(f"Sampling, ours in {precision}", rows, NOTES)


def rate(who: Contender, seconds: float, samples: int) -> float:
    """Sampling speed of one turn of at least `seconds`, in images a second."""
    drawn, begun, end = 0, clock(), time.perf_counter() + seconds
    while not drawn or time.perf_counter() < end:
        drawn += len(who.sample(samples))
    return drawn / (clock() - begun)


if __name__ == "__main__":
    typer.run(main)
