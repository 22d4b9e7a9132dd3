"""Peak memory against the batch of the training, and against the samples of the evaluation.

`python -m benchmarks.memory`
"""

from collections.abc import Sequence
from typing import Annotated

import typer

from benchmarks.commands import run_to_end
from benchmarks.console import Announcer, Out, Table, Threads, counts, show
from benchmarks.matched_networks import NOISE

__all__ = ["evaluation", "main", "training"]

MIB = 2**20
NOTES = ("Peak of the whole process.",)
TRAINED = ["model=ddpm", "network=unet_folded", *NOISE]
EVALUATED = ["model=gan", "metrics.likelihood_samples=0", "budget.images=64"]


def main(
    batches: Annotated[str, typer.Option(help="Comma-separated batch sizes.")] = "32,64,128,256",
    samples: Annotated[str, typer.Option(help="Comma-separated numbers of samples.")] = "200,2000,20000",
    threads: Threads = 1,
    out: Out = None,
) -> None:
    """Run `python main.py` for each, and print the peak memory of its result."""
    trained, evaluated = counts(batches, "--batches"), counts(samples, "--samples")
    show([training(trained, threads=threads), evaluation(evaluated, threads=threads)], out)


def training(batches: Sequence[int], *, threads: int) -> Table:
    """Peak memory of a short training at some batch sizes, and the increase for each further image."""
    announcer, peaks = Announcer(len(batches)), {}
    for batch in batches:
        announcer.begin(f"batch {batch}")
        words = [*TRAINED, f"trainer.batch_size={batch}", f"budget.images={2 * batch}"]
        peaks[batch] = run_to_end(words, threads=threads)["cost"]["peak_memory_bytes"]
    first, least = batches[0], peaks[batches[0]]
    rows = [
        {
            "batch": batch,
            "peak, MiB": peak / MIB,
            "MiB an image more": (peak - least) / MIB / (batch - first) if batch > first else None,
        }
        for batch, peak in peaks.items()
    ]
    return Table("Memory of the training (ddpm, unet_folded, 28x28)", rows, NOTES)


def evaluation(samples: Sequence[int], *, threads: int) -> Table:
    """Peak memory and seconds of runs that evaluate some numbers of samples."""
    announcer, rows = Announcer(len(samples)), []
    for n in samples:
        announcer.begin(f"{n} samples")
        record = run_to_end([*EVALUATED, f"metrics.samples={n}"], threads=threads)
        cost = record["cost"]
        rows.append(
            {
                "samples": n,
                "peak, MiB": cost["peak_memory_bytes"] / MIB,
                "evaluation, s": cost["evaluation_seconds"],
            }
        )
    return Table("Memory of the evaluation (gan, digits, all standard scores)", rows, NOTES)


if __name__ == "__main__":
    typer.run(main)
