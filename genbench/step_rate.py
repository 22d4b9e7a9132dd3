"""Images per second of a model's training steps in each precision, measured once and cached."""

import copy
import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genbench import rng
from genbench.data import Split, cache_dir, to_float
from genbench.device import describe, processor
from genbench.generator import Generator, Stage
from genbench.parts import Parts
from genbench.precision import FIXED, FixedPrecision
from genbench.run import read_json, version, write_json_atomic
from genbench.step import only, update

__all__ = ["step_rates"]

TURNS = 5  # of each precision, one after the other, so that both see the same load of the machine
SECONDS = 6.0  # after which no further turn begins
SHORTEST = 0.15  # seconds of one measurement: short steps are repeated


def step_rates(parts: Parts, split: Split, *, processes: int = 1) -> dict[str, float]:
    """Images per second of training steps of `parts` on `split`, by the name of the precision.

    From the cache where it has them. Steps take the part of a batch that one process computes at a time.
    """
    size = parts.trainer.batch_size // (parts.trainer.accumulate * processes)
    images, labels = split.gather(torch.arange(size) % len(split), parts.device)
    model = parts.model.to(parts.device, memory_format=torch.channels_last)
    x = to_float(images).contiguous(memory_format=torch.channels_last)
    return StepRates(model, x, labels if model.num_classes else None, parts).rates()


class StepRates:
    """Trains a copy of a model for a few steps in each precision, beside the run and without a trace.

    x (B, C, H, W), y (B,) or None: training images. Rates are cached beside the data, in a file for each
    machine, number of threads, torch version, model and batch size.
    """

    def __init__(self, model: Generator, x: Tensor, y: Tensor | None, parts: Parts) -> None:
        self.model, self.x, self.y, self.parts = model, x, y, parts
        self.path = cache_dir() / "step_rates" / f"{self.key()}.json"

    def key(self) -> str:
        """What the rates depend on, as 64 hex digits."""
        device, shape = self.x.device, tuple(self.x.shape)
        facts = [
            *(platform.node(), processor(), describe(device), torch.__version__, version("genbench")),
            *(repr(self.model), [tuple(p.shape) for p in self.model.parameters()]),
            *(shape, self.parts.trainer.batch_size),
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def rates(self) -> dict[str, float]:
        """Images per second by the name of the precision, from the cache where it has them."""
        cached = self.cached()
        if cached is None:
            cached = self.measured()
            write_json_atomic(self.path, cached)
        return cached

    def cached(self) -> dict[str, float] | None:
        """The cached rates; None where there are none that make sense."""
        try:
            found = read_json(self.path) or {}
        except (ValueError, OSError, RecursionError):
            return None
        sound = all(isinstance(found.get(name), float) and found[name] > 0 for name in FIXED)
        return {name: found[name] for name in FIXED} if sound else None

    def measured(self) -> dict[str, float]:
        """Images per second: the batch over the least time of a step, stages weighted by their shares."""
        twin = copy.deepcopy(self.model).train()
        optimizers = {phase: self.parts.optim(twin.phase_parameters(phase)) for phase in twin.phases}
        for group in (group for optimizer in optimizers.values() for group in optimizer.param_groups):
            group["initial_lr"] = group["lr"]
        stages = twin.stages or (Stage(1.0, twin.phases),)
        least: dict[tuple[str, Stage], float] = {}
        with rng.fork(self.x.device):
            for name, stage, seconds in self.turns(twin, optimizers, stages):
                least[name, stage] = min(seconds, least.get((name, stage), seconds))
        return {
            name: 1 / sum(stage.share * least[name, stage] / self.images(stage) for stage in stages)
            for name in FIXED
        }

    def images(self, stage: Stage) -> int:
        """Images that a step of a stage sees, as many as this batch has in each of its phases."""
        return len(self.x) * len(stage.phases)

    def turns(
        self, twin: Generator, optimizers: dict[str, Optimizer], stages: tuple[Stage, ...]
    ) -> Iterator[tuple[str, Stage, float]]:
        """Precision, stage and seconds of a step; the first turn, which also chooses kernels, is left out."""
        begun = time.monotonic()
        for turn in range(1 + TURNS):
            if turn > 1 and time.monotonic() - begun > SECONDS:
                return
            for name, precision in FIXED.items():
                for stage in stages:
                    with applied(precision, twin.autocast_networks(), self.x.device):
                        seconds = self.seconds(lambda stage=stage: self.step(twin, optimizers, stage))
                    if turn:
                        yield name, stage, seconds

    def seconds(self, step: Callable[[], None]) -> float:
        """Seconds of one step, the mean over as many as fill the shortest time that is measured."""
        synchronize(self.x.device)
        begun, steps = time.perf_counter(), 0
        while not steps or time.perf_counter() - begun < SHORTEST:
            step()
            synchronize(self.x.device)
            steps += 1
        return (time.perf_counter() - begun) / steps

    def step(self, twin: Generator, optimizers: dict[str, Optimizer], stage: Stage) -> None:
        """One training step of a stage."""
        learned = {phase: twin.phase_parameters(phase) for phase in optimizers}
        for phase in stage.phases:
            with only(learned, phase):
                twin.loss(self.x, self.y, phase=phase, step=1).total.backward()
            update(optimizers[phase], 0.0, self.parts.trainer.clip_norm)  # no step, or weights would drift


@contextmanager
def applied(precision: FixedPrecision, networks: list[nn.Module], device: torch.device) -> Iterator[None]:
    """Networks compute in a precision within the block."""
    handles = precision.apply(networks, device)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def synchronize(device: torch.device) -> None:
    """Wait for a GPU; a CPU has nothing pending."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
