"""One contender in a process of its own: train, draw, write samples and facts to a folder.

`python -m benchmarks.one_contender NAME ...`; `benchmarks.quality` calls it.
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console

from benchmarks.contenders import PeerNotInstalled, contender, draw_samples
from genbench.evaluation.pictures import save_grid
from genbench.records.files import write_json_atomic
from genbench.runtime.progress import Progress

__all__ = ["FACTS", "GRID", "SAMPLES", "facts_of", "main", "samples_of"]

FACTS, SAMPLES, GRID = "facts.json", "samples.npy", "grid.png"
SHOWN = 64  # samples of a grid


def main(
    name: Annotated[str, typer.Argument(help="A preset of genbench or a peer.")],
    data_root: Annotated[Path, typer.Option(help="Fashion-MNIST in torchvision's layout.")],
    out: Annotated[Path, typer.Option(help="Output folder.")],
    seconds: Annotated[float, typer.Option(help="Seconds of training.")],
    samples: Annotated[int, typer.Option(help="Number of samples.")],
    threads: Annotated[int, typer.Option(help="Threads of torch.")],
    seed: Annotated[int, typer.Option(help="Random seed of weights, training and samples.")],
) -> None:
    """Train one contender and draw samples; `python -m benchmarks.quality` calls this."""
    torch.set_num_threads(threads)
    console = Console(stderr=True)
    try:
        who = contender(name, data_root=data_root, seed=seed, console=console)
    except PeerNotInstalled as missing:
        typer.echo(str(missing), err=True)
        raise typer.Exit(code=1) from None
    spent = who.train(seconds)
    images, sampling_seconds = draw_samples(who, samples, progress=Progress(console))
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / SAMPLES, images.numpy())
    save_grid(images[:SHOWN], out / GRID)
    facts = {
        "name": who.name,
        "parameters": who.parameters,
        "seconds of training": seconds,
        "images seen": spent.images,
        "images/s": spent.rate,
        "seconds a sample": sampling_seconds / samples,
    }
    write_json_atomic(out / FACTS, facts)  # the last file: where it is, the others are whole


def facts_of(folder: Path) -> dict[str, str | float] | None:
    """The facts of a contender's folder, None where it is not finished."""
    path = folder / FACTS
    return json.loads(path.read_text()) if path.exists() else None


def samples_of(folder: Path) -> torch.Tensor:
    """The samples in a contender's folder, (N, 1, 28, 28) uint8."""
    return torch.from_numpy(np.load(folder / SAMPLES))


if __name__ == "__main__":
    typer.run(main)
