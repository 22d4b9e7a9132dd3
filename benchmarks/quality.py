"""Quality at equal time: each contender trains for so many seconds, and one classifier scores all samples.

`python -m benchmarks.quality --data-root PATH --seconds 240`
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
import typer
from rich.console import Console
from torch import Tensor

from benchmarks.console import Announcer, chosen
from benchmarks.contenders import BATCH, OURS, PEERS, fashion_mnist
from benchmarks.one_contender import facts_of, samples_of
from genbench.data import ImageData
from genbench.evaluation.samples import held_out_order
from genbench.metrics import FID, ClassifierFeatures, InceptionScore, reference, score_images
from genbench.records.metric_name import MetricName
from genbench.report import frame_markdown
from genbench.runtime.progress import Progress

__all__ = ["main", "quality_table", "scorer"]

ROOT = Path(__file__).resolve().parents[1]
SCORER_SEED = 7  # of the classifier; no contender was tuned with this seed
COSTS = ("name", "parameters", "seconds of training", "images seen", "images/s", "seconds a sample")

Facts = Mapping[str, str | float | None]


def main(
    data_root: Annotated[Path, typer.Option(help="Fashion-MNIST in torchvision's layout.")],
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds of training of each contender.")] = 240.0,
    samples: Annotated[int, typer.Option(min=20, help="Number of samples that are scored.")] = 2000,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch of each contender.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of weights, training and samples.")] = 0,
    only: Annotated[str, typer.Option(help="Comma-separated contenders; default: all.")] = "",
    out: Annotated[Path, typer.Option(help="Output folder; finished contenders are kept.")] = (
        ROOT / "runs" / "benchmarks"
    ),
) -> None:
    """Train every contender for the same time on as many threads, and compare their samples.

    The table is printed and written to table.md; each contender leaves samples.npy and grid.png.
    """
    torch.set_num_threads(threads)
    console = Console(stderr=True)
    names = chosen(only, [*OURS, *PEERS])
    folder = out / f"quality-{seconds:g}s-{samples}-samples-{threads}-threads-seed{seed}"
    data = fashion_mnist(data_root, console)
    score, announcer = scorer(data, console), Announcer(len(names))
    for name in names:
        announcer.begin(name)
        run(name, folder, data_root, seconds=seconds, samples=samples, threads=threads, seed=seed)
    finished = {name: facts for name in names if (facts := facts_of(folder / name)) is not None}
    rows = [facts | score(samples_of(folder / name)) for name, facts in finished.items()]
    held_out = {"name": "held-out images"} | score(data.test.images[held_out_order(data, 0)[:samples]])
    table = quality_table([*rows, held_out])
    (folder / "table.md").write_text(table)
    typer.echo(table, nl=False)


def run(
    name: str, folder: Path, data_root: Path, *, seconds: float, samples: int, threads: int, seed: int
) -> None:
    """Train and draw in a process of its own, unless that was done before.

    A failure is a line on stderr, and the contender is left out of the table.
    """
    out = folder / name
    if facts_of(out) is not None:
        return
    options = {
        "--data-root": data_root.resolve(),
        "--out": out.resolve(),
        "--seconds": seconds,
        "--samples": samples,
        "--threads": threads,
        "--seed": seed,
    }
    arguments = [str(word) for option in options.items() for word in option]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-m", "benchmarks.one_contender", name, *arguments]
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
        typer.echo(f"{name} is left out of the table", err=True)


def scorer(data: ImageData, console: Console) -> Callable[[Tensor], dict[str, float]]:
    """A function of images (N, 1, 28, 28) uint8 that answers FID and Inception score by full name.

    FID is the distance to the training images.
    """
    cpu, progress = torch.device("cpu"), Progress(console)
    extractor = ClassifierFeatures(seed=SCORER_SEED).build(data, device=cpu, progress=progress)
    real = reference(extractor, data, split="train", device=cpu, progress=progress)

    def score(images: Tensor) -> dict[str, float]:
        found = score_images(
            ((part, None) for part in images.split(BATCH)),
            len(images),
            scores=[FID(), InceptionScore()],
            extractor=extractor,
            references=[real],
            of="ema",
            seed=0,
        )
        return {
            name.replace(",ema]", "]"): value
            for name, value in found.items()
            if MetricName.parse(name).kind in ("fid", "is")
        }

    return score


def quality_table(rows: Sequence[Facts]) -> str:
    """Markdown of all rows, the best distance first."""
    scores = sorted({title for row in rows for title in row} - {*COSTS})
    columns = [*COSTS, *scores]
    frame = pd.DataFrame([{title: row.get(title) for title in columns} for row in rows], dtype=object)
    return frame_markdown(frame.sort_values(scores[0], ignore_index=True))


if __name__ == "__main__":
    typer.run(main)
