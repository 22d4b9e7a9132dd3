"""Fair comparisons: everybody works by turns in one process, so that a busy machine is busy for all."""

import time
from collections.abc import Callable, Sequence
from statistics import median

import torch

__all__ = ["by_turns", "clock", "medians", "seconds"]


def clock() -> float:
    """Seconds for rates of work on the CPU: with one thread those in which this process computed.

    What others do on the same core then takes none of them.
    """
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def by_turns(works: Sequence[Callable[[], float]], rounds: int) -> list[list[float]]:
    """What each piece of work answers in each of its turns, (works, rounds); a first round does not count."""
    turns = [[work() for work in works] for _ in range(rounds + 1)][1:]
    return [list(answers) for answers in zip(*turns, strict=True)]


def medians(works: Sequence[Callable[[], float]], rounds: int) -> list[float]:
    """The median over the turns, of each piece of work."""
    return [median(answers) for answers in by_turns(works, rounds)]


def seconds(work: Callable[[], object]) -> float:
    """How long some work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
