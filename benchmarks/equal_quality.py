"""Sampling at equal quality: the fewest steps of our DDPM with samples as good as a peer's, and their cost.

`python -m benchmarks.equal_quality --data-root PATH --quality FOLDER`, after `benchmarks.quality` with the
peer.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from benchmarks.console import Out, Row, Table, Threads, show
from benchmarks.contenders import Ours, draw_samples, fashion_mnist, preset
from benchmarks.one_contender import facts_of, samples_of
from benchmarks.quality import scorer
from genbench.cli.sample import listed
from genbench.runtime.progress import Progress

__all__ = ["main", "verdict"]


def main(
    data_root: Annotated[Path, typer.Option(help="Fashion-MNIST in torchvision's layout.")],
    quality: Annotated[Path, typer.Option(help="Output folder of `benchmarks.quality`, with the peer.")],
    peer: Annotated[str, typer.Option(help="The peer whose quality is to be reached.")] = "diffusers",
    spent: Annotated[
        float, typer.Option("--seconds", min=0.1, help="Seconds of our training, as the peer's.")
    ] = 240.0,
    steps: Annotated[str, typer.Option(help="Comma-separated counts of our steps.")] = "2,3,5,8,12,20,50",
    samples: Annotated[int, typer.Option(min=20, help="Number of samples for each.")] = 1000,
    sampler: Annotated[str, typer.Option(help="A sampler of conf/sampler.")] = "ddim",
    threads: Threads = 1,
    out: Out = None,
) -> None:
    """Train our DDPM once, draw at each number of steps, and print distances and costs beside the peer's."""
    torch.set_num_threads(threads)
    console = Console(stderr=True)
    facts = facts_of(quality / peer)
    if facts is None:
        raise typer.BadParameter(f"{quality} has no finished {peer}; run benchmarks.quality first")
    score = scorer(fashion_mnist(data_root, console), console)
    theirs = score(samples_of(quality / peer)) | {"seconds a sample": float(facts["seconds a sample"])}
    words = [*preset("ddpm", data_root), f"sampler={sampler}"]
    learner = Ours("ddpm", words, console=console)
    learner.train(spent)
    rows: list[Row] = [{"who": str(facts["name"]), "steps": 50, **theirs}]
    for count in listed(steps, int):
        drawer = Ours("ddpm", [*words, f"sampler.steps={count}"])
        drawer.drawing.load_state_dict(learner.drawing.state_dict())
        images, seconds = draw_samples(drawer, samples, progress=Progress(console))
        cost = {
            "seconds a sample": seconds / samples,
            "ratio": theirs["seconds a sample"] * samples / seconds,
        }
        rows.append({"who": drawer.name, "steps": count, **score(images), **cost})
    show([Table(f"Samples after {spent:g} s of training, {sampler}", rows, (verdict(rows),))], out)


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
