"""Fair timing: all contenders work by turns in one process, so that other work slows them alike."""

import time
from collections.abc import Callable, Sequence
from statistics import median

import torch

__all__ = ["by_turns", "clock", "medians", "seconds"]


def clock() -> float:
    """Seconds for rates of work on the CPU: with one thread the process's own CPU time.

    Other processes on the same core then do not count.
    """
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def by_turns(works: Sequence[Callable[[], float]], rounds: int) -> list[list[float]]:
    """The numbers that functions return when they are called by turns: (functions, rounds).

    A first round is a warm-up and left out.
    """
    turns = [[work() for work in works] for _ in range(rounds + 1)][1:]
    return [list(answers) for answers in zip(*turns, strict=True)]


def medians(works: Sequence[Callable[[], float]], rounds: int) -> list[float]:
    """The median over the rounds of each function's number, called by turns."""
    return [median(answers) for answers in by_turns(works, rounds)]


def seconds(work: Callable[[], object]) -> float:
    """The wall-clock seconds that one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
