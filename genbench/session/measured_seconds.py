"""Seconds of pieces of work on a few samples or images, from which an estimate extrapolates."""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from genbench.generator import Generator
from genbench.session.spared_passes import SparedPasses

__all__ = ["PATIENCE", "Each", "each_of", "seconds_of", "steady_seconds"]

PATIENCE = 3.0  # seconds of one measurement, after which passes are spared or images are left out
FIRST_LOOK = 0.3  # seconds of passes by which the number of samples is chosen
PASSES = 4  # at least, that are made within the patience
LONG = 1.0  # seconds of one call that is not repeated


class Each(NamedTuple):
    """Seconds of one sample or image of a kind of work."""

    seconds: float
    note: str = ""
    """Words on the share that was measured, as in ", from 12 of 50 network evaluations"; empty of all."""


def each_of(work: Callable[[int], object], most: int, model: Generator, device: torch.device) -> Each:
    """Measure the seconds of one sample or image of work(n), which is done for n of them: on a GPU for `most`
    at once, on a CPU for as many as let some passes of the networks be made within a few seconds, as one of
    them shows. The other passes are spared where it takes longer.
    """
    n = most
    if device.type == "cpu":  # one of them, which also loads what the next ones find there
        with SparedPasses(model.networks(), device, patience=FIRST_LOOK) as one:
            work(1)
        n = max(min(most, int(PATIENCE / PASSES / (one.longest or one.seconds))), 1)
    with SparedPasses(model.networks(), device, patience=PATIENCE) as spared:
        work(n)
    return Each(spared.seconds / n, spared.note)


def seconds_of(work: Callable[[], object]) -> float:
    """Measure the seconds of one call, which ends with a result on the host."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def steady_seconds(work: Callable[[], object]) -> float:
    """Measure the seconds of one call, again where the first was short: it also loads what the next ones find
    there.
    """
    first = seconds_of(work)
    return first if first > LONG else seconds_of(work)
