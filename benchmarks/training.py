"""Training speed at equal sizes: ours and the peers of each family by turns.

`python -m benchmarks.training`
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import torch
import typer

from benchmarks.console import Announcer, Only, Out, Precision, Rounds, Table, Threads, chosen, show
from benchmarks.contenders import Contender
from benchmarks.fair_timing import medians
from benchmarks.matched_networks import GROUPS, comparison_rows, group

__all__ = ["main", "table"]

NOTES = (
    "MFLOP an image: products, convolutions and attention of a training step, forward and backward.",
    "Ratio: ours over the peer's; above 1, ours is faster.",
)


def main(
    seconds: Annotated[float, typer.Option(min=0.01, help="Seconds of a turn.")] = 5.0,
    rounds: Rounds = 3,
    threads: Threads = 1,
    precision: Precision = "fp32",
    only: Only = "",
    out: Out = None,
) -> None:
    """Train by turns, and print medians of images a second and their ratios."""
    torch.set_num_threads(threads)
    show([table(chosen(only, [*GROUPS]), seconds=seconds, rounds=rounds, precision=precision)], out)


def table(
    families: Sequence[str],
    *,
    seconds: float,
    rounds: int,
    precision: str = "fp32",
    batch: int | None = None,
) -> Table:
    """Training speed of ours and of the peers in some families.

    batch: images of a step, None as each family has it.
    """
    announcer, rows = Announcer(len(families)), []
    for name in families:
        announcer.begin(name)
        ours, peers = group(name, precision=precision, batch=batch)
        rates = medians([partial(rate, who, seconds) for who in (*ours, *peers)], rounds)
        rows += comparison_rows(ours, peers, rates, lambda who: who.training_work())
    return Table(f"Training, ours in {precision}", rows, NOTES)


def rate(who: Contender, seconds: float) -> float:
    """Training speed of one turn, in images a second."""
    return who.train(seconds).rate


if __name__ == "__main__":
    typer.run(main)
