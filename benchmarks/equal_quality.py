"""Sampling at equal quality: the fewest steps of our DDPM with samples as good as a peer's, and their cost.

`python -m benchmarks.equal_quality --data-root PATH --quality FOLDER`, after `benchmarks.quality` with the
peer, which may have trained longer than ours: `--only diffusers --seconds 1380`. After 240 seconds of a CPU
the samples of diffusers are noise, which is no quality to reach.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from benchmarks.console import Out, Rounds, Row, Table, Threads, counts, show
from benchmarks.contenders import Contender, Ours, contender, draw_samples, fashion_mnist, preset
from benchmarks.fair_timing import clock, medians
from benchmarks.one_contender import facts_of, samples_of
from benchmarks.quality import scorer
from genbench.runtime.progress import Progress

__all__ = ["main", "verdict"]

BATCH = 16  # images drawn at once where seconds are measured, by turns


def main(
    data_root: Annotated[Path, typer.Option(help="Fashion-MNIST in torchvision's layout.")],
    quality: Annotated[Path, typer.Option(help="Output folder of `benchmarks.quality`, with the peer.")],
    peer: Annotated[str, typer.Option(help="The peer whose quality is to be reached.")] = "diffusers",
    spent: Annotated[float, typer.Option("--seconds", min=0.1, help="Seconds of our training.")] = 240.0,
    steps: Annotated[str, typer.Option(help="Comma-separated counts of our steps.")] = "2,3,5,8,12,20,50",
    sampler: Annotated[str, typer.Option(help="A sampler of conf/sampler.")] = "ddim",
    rounds: Rounds = 1,
    threads: Threads = 1,
    out: Out = None,
) -> None:
    """Train our DDPM once, draw at each number of steps as many samples as there are of the peer, and print
    distances and costs beside the peer's.
    """
    numbers_of_steps = counts(steps, "--steps")
    torch.set_num_threads(threads)
    console = Console(stderr=True)
    facts = facts_of(quality / peer)
    if facts is None:
        raise typer.BadParameter(f"{quality} has no finished {peer}; run benchmarks.quality first")
    score = scorer(fashion_mnist(data_root, console), console)
    drawn = samples_of(quality / peer)
    theirs = score(drawn)
    words = [*preset("ddpm", data_root), f"sampler={sampler}"]
    learner = Ours("ddpm", words, console=console)
    learner.train(spent)
    trained = facts.get("seconds of training")  # of earlier folders it is not known
    rows: list[Row] = [{"who": facts["name"], "trained s": trained, "steps": 50, **theirs}]
    drawers: list[Contender] = [contender(peer, data_root=data_root, seed=0, console=None)]
    for count in numbers_of_steps:
        drawer = Ours("ddpm", [*words, f"sampler.steps={count}"])
        drawer.drawing.load_state_dict(learner.drawing.state_dict())
        images, _ = draw_samples(drawer, len(drawn), progress=Progress(console))
        rows.append({"who": drawer.name, "trained s": spent, "steps": count, **score(images)})
        drawers.append(drawer)
    costs = medians([partial(seconds_a_sample, who) for who in drawers], rounds)
    priced: list[Row] = [
        {**row, "seconds a sample": cost, "ratio": costs[0] / cost}
        for row, cost in zip(rows, costs, strict=True)
    ]
    show([Table(f"Samples at equal quality, {sampler}", priced, (verdict(priced),))], out)


def seconds_a_sample(who: Contender) -> float:
    """Measure the seconds of one sample in a batch of 16. A peer's weights do not matter for it."""
    began, drawn = clock(), len(who.sample(BATCH))
    return (clock() - began) / drawn


def verdict(rows: list[Row]) -> str:
    """A sentence on the fewest steps of ours whose distance is at most the peer's, which is the first row."""
    distance = next(title for title in rows[0] if title.startswith("fid"))
    goal = float(rows[0][distance] or 0)
    good = [row for row in rows[1:] if float(row[distance] or 0) <= goal]
    if not good:
        return f"No number of steps reaches the peer's {goal:.4g}."
    best = min(good, key=lambda row: int(row["steps"] or 0))
    return f"The peer's {goal:.4g} is reached in {best['steps']} steps: {best['ratio']:.4g} times as fast."


if __name__ == "__main__":
    typer.run(main)
