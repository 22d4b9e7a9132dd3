"""Speed ratios in one run: ours and a peer of its family by turns, so that both meet the same machine.

`python -m tests.benchmarks.speed --data-root PATH`
"""

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, NamedTuple

import pandas as pd
import torch
import typer

from genbench.report import frame_markdown
from tests.benchmarks.console import Announcer, chosen
from tests.benchmarks.contenders import Contender, Missing, contender

__all__ = ["PAIRS", "Round", "main", "measure", "speed_table"]

PAIRS = (
    ("ddpm", "diffusers"),
    ("ddpm", "ddpm_pytorch"),
    ("vae", "pythae"),
    ("flow", "normflows"),
    ("gan", "dcgan"),
)


class Round(NamedTuple):
    """Images a second of one turn."""

    training: float
    sampling: float


def main(
    data_root: Annotated[Path, typer.Option(help="Fashion-MNIST in torchvision's layout.")],
    seconds: Annotated[float, typer.Option(min=0.1, help="Of training, and of drawing, in a turn.")] = 8.0,
    samples: Annotated[int, typer.Option(min=1, help="Drawn at once.")] = 64,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each that count; one more comes first.")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="Of torch.")] = 1,
    only: Annotated[str, typer.Option(help="Some peers, with commas; without it, all.")] = "",
) -> None:
    """Train and draw by turns with each peer, and print medians and their ratios."""
    torch.set_num_threads(threads)
    wanted = chosen(only, [peer for _, peer in PAIRS])
    pairs = [pair for pair in PAIRS if pair[1] in wanted]
    announcer, rows = Announcer(len(pairs)), []
    for names in pairs:
        announcer.begin(" | ".join(names))
        try:
            ours, theirs = (contender(name, data_root=data_root, seed=0, console=None) for name in names)
        except Missing as missing:
            typer.echo(str(missing), err=True)
            continue
        turns = [[measure(who, seconds, samples) for who in (ours, theirs)] for _ in range(rounds + 1)][1:]
        rows.append(speed_row(ours, theirs, [turn[0] for turn in turns], [turn[1] for turn in turns]))
    typer.echo(speed_table(rows), nl=False)


def measure(who: Contender, seconds: float, samples: int) -> Round:
    """One turn: training, then batches of samples, each for so long and to the end of the last one."""
    spent = who.train(seconds)
    count, passed, started = 0, 0.0, time.perf_counter()
    while passed < seconds:
        count += len(who.sample(samples))
        passed = time.perf_counter() - started
    return Round(spent.rate, count / passed)


def speed_row(
    ours: Contender, theirs: Contender, our_turns: Sequence[Round], their_turns: Sequence[Round]
) -> dict[str, str | float]:
    """Medians over the turns, and the ratios of these medians: above 1, ours is faster."""
    ours_, theirs_ = middle(our_turns), middle(their_turns)
    return {
        "ours": ours.name,
        "peer": theirs.name,
        "parameters": ours.parameters,
        "peer's": theirs.parameters,
        "training images/s": ours_.training,
        "peer's training": theirs_.training,
        "training ratio": ours_.training / theirs_.training,
        "sampling images/s": ours_.sampling,
        "peer's sampling": theirs_.sampling,
        "sampling ratio": ours_.sampling / theirs_.sampling,
    }


def middle(turns: Sequence[Round]) -> Round:
    """The medians."""
    return Round(median(turn.training for turn in turns), median(turn.sampling for turn in turns))


def speed_table(rows: Sequence[dict[str, str | float]]) -> str:
    """Markdown."""
    return frame_markdown(pd.DataFrame(rows, dtype=object))


if __name__ == "__main__":
    typer.run(main)
