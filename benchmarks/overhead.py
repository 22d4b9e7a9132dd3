"""Overhead of our loop over the bare forward and backward passes and updates of the same networks.

`python -m benchmarks.overhead`
"""

import copy
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Annotated

import torch
import typer
from torch.optim import AdamW

from benchmarks.console import Announcer, Only, Out, Rounds, Table, Threads, chosen, show
from benchmarks.contenders import CPU, Ours, TimedBudget
from benchmarks.fair_timing import by_turns, clock
from benchmarks.matched_networks import NOISE
from genbench.data import prepare, to_float
from genbench.runtime.progress import Progress

__all__ = ["CASES", "main", "table"]

CASES = {
    "ddpm, 8x8": ["model=ddpm"],
    "ddpm, 28x28": ["model=ddpm", "network=unet_folded", *NOISE],
    "gan, 8x8": ["model=gan"],
}
NOTES = (
    "The loop: genbench.training.loop, with its data, seeds, clipping (GAN: none), averaged weights and log. "
    "Bare: losses of always the same batch, backward, update. Both with fused AdamW.",
    "Overhead: the median over the turns of bare over loop, less 1.",
)


def main(
    seconds: Annotated[float, typer.Option(min=0.01, help="Seconds of a turn.")] = 2.0,
    rounds: Rounds = 15,
    threads: Threads = 1,
    only: Only = "",
    out: Out = None,
) -> None:
    """Train by turns, and print medians and the share that the loop adds."""
    torch.set_num_threads(threads)
    names = [case.replace(", ", "-") for case in CASES]
    wanted = [case for case in CASES if case.replace(", ", "-") in chosen(only, names)]
    show([table(wanted, seconds=seconds, rounds=rounds)], out)


def table(cases: Sequence[str], *, seconds: float, rounds: int) -> Table:
    """Training speed of the loop and of the bare steps by turns, and the overhead."""
    announcer, rows = Announcer(len(cases)), []
    for case in cases:
        announcer.begin(case)
        ours = Ours(case, [*CASES[case], "optim=adamw", "precision=fp32"])
        steps = max(1, round(ours.train(seconds).rate * seconds / ours.batch_size))
        works = [partial(loop, ours, steps), partial(bare, bare_step(ours), ours.batch_size, steps)]
        turns = by_turns(works, rounds)
        rows.append(
            {
                "what": case,
                "batch": ours.batch_size,
                "loop, images/s": median(turns[0]),
                "bare, images/s": median(turns[1]),
                "overhead": median(b / a - 1 for a, b in zip(*turns, strict=True)),
            }
        )
    return Table("Overhead of the training loop", rows, NOTES)


def loop(ours: Ours, steps: int) -> float:
    """Training speed of our loop over some steps, in images a second."""
    phases = len(ours.parts.model.phases)
    return ours.spend(TimedBudget(images=steps * ours.batch_size * phases)).rate


def bare(step: Callable[[], None], batch_size: int, steps: int) -> float:
    """Training speed of so many steps and nothing else, in images a second."""
    begun = clock()
    for _ in range(steps):
        step()
    return steps * batch_size / (clock() - begun)


def bare_step(ours: Ours) -> Callable[[], None]:
    """A function that trains all phases for one step, always on the same batch."""
    model = copy.deepcopy(ours.parts.model).to(memory_format=torch.channels_last).train()
    learned = {phase: model.phase_parameters(phase) for phase in model.phases}
    optimizers = {phase: AdamW(learned[phase], lr=1e-5, fused=True) for phase in model.phases}
    # One phase needs no list of what its gradient goes to, and torch is slower with one.
    inputs = learned if len(model.phases) > 1 else dict.fromkeys(model.phases)
    data = prepare(ours.parts.source, progress=Progress(None))
    images, _ = data.train.gather(torch.arange(ours.batch_size), CPU)
    x = to_float(images).contiguous(memory_format=torch.channels_last)
    steps = itertools.count()

    def step() -> None:
        number = next(steps)
        for phase, optimizer in optimizers.items():
            model.loss(x, None, phase=phase, step=number).total.backward(inputs=inputs[phase])
            optimizer.step()
            optimizer.zero_grad()

    return step


if __name__ == "__main__":
    typer.run(main)
