"""Images per second of a model's training steps in each precision, measured beside the run and cached for
each machine, for precision=auto.
"""

import copy
import hashlib
import json
import math
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genbench.data import Split, cache_dir
from genbench.generator import Generator, Stage, Y
from genbench.records.files import clear, read_sealed, remove_leftovers, sealed, write_json_atomic
from genbench.records.run_directory import version
from genbench.runtime import rng
from genbench.runtime.device import describe, processor
from genbench.runtime.disk import locked, optional
from genbench.runtime.memory import is_out_of_memory
from genbench.runtime.precision import FIXED, FixedPrecision
from genbench.session.run_parts import Parts
from genbench.training.step import add_gradient, model_batch, only, update

__all__ = ["COMPARED", "step_rates"]

COMPARED = ("fp32", "bf16")  # which precision=auto chooses from
TURNS = 9  # of both precisions, one after the other
SECONDS = 6.0  # after which no further turn begins
SHORTEST = 0.1  # seconds of one measurement: short steps are repeated


def step_rates(parts: Parts, split: Split, *, processes: int = 1) -> dict[str, float]:
    """Images per second of training steps of `parts` on `split`, by the name of the precision.

    From the cache where it has them. Steps take the part of a batch that one process computes at a time.
    """
    size = parts.trainer.batch_size // (parts.trainer.accumulate * processes)
    model = parts.model.to(parts.device).to(memory_format=torch.channels_last)
    x, y = model_batch(model, split, torch.arange(size) % len(split), parts.device)
    return StepRates(model, x, y, parts).rates()


class StepRates:
    """Trains a copy of a model for a few steps in each precision, beside the run and without a trace.

    As it is written, whatever trainer.compile says: to compile it twice would take minutes.
    x (B, C, H, W), y (B,) or None: training images. Rates are cached beside the data, in a file for each
    machine, number of threads, torch version, model and batch size.
    """

    def __init__(self, model: Generator, x: Tensor, y: Y, parts: Parts) -> None:
        self.model, self.x, self.y, self.parts = model, x, y, parts
        self.path = cache_dir() / "step_rates" / f"{self.key()}.json"

    def key(self) -> str:
        """Return a hash of all that the rates depend on, 64 hex digits."""
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
            with locked(self.path):
                cached = self.cached() or self.measured()  # another process may have measured meanwhile
                with optional(self.path):
                    remove_leftovers([self.path.parent], self.path.name)
                    clear(self.path)
                    write_json_atomic(self.path, sealed("rates", cached))
        return cached

    def cached(self) -> dict[str, float] | None:
        """The cached rates; None where there are none, or damaged ones (with a warning)."""
        try:
            found = read_sealed(self.path, "rates")
            return {name: float(found[name]) for name in COMPARED}
        except FileNotFoundError:
            return None
        except (ValueError, OSError, KeyError, TypeError) as error:
            warnings.warn(f"{self.path.parent}: {error}; the rates are measured anew", stacklevel=2)
            return None

    def measured(self) -> dict[str, float]:
        """Images per second, as the median over turns; between precisions, the median ratio of a turn.

        Both sides of a turn see the same load of the machine, which two turns may not. The first turn, which
        also chooses kernels, is left out.
        """
        twin = copy.deepcopy(self.model).train()
        optimizers = {phase: self.parts.optim(twin.phase_parameters(phase)) for phase in twin.phases}
        for group in (group for optimizer in optimizers.values() for group in optimizer.param_groups):
            group["initial_lr"] = group["lr"]
        begun, turns = time.monotonic(), list[dict[str, float]]()
        with rng.fork(self.x.device):
            while len(turns) < 2 or (len(turns) <= TURNS and time.monotonic() - begun < SECONDS):
                turns.append(self.turn(twin, optimizers))
        usual = {name: median(turn[name] for turn in turns[1:]) for name in COMPARED}
        if math.inf in usual.values():
            return {name: 1 / seconds for name, seconds in usual.items()}
        ratio = median(turn["fp32"] / turn["bf16"] for turn in turns[1:])
        return {"fp32": 1 / usual["fp32"], "bf16": ratio / usual["fp32"]}

    def turn(self, twin: Generator, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """Seconds per image in each precision, stages weighted by their shares of the budget.

        Infinite where memory does not suffice.
        """
        stages, found = twin.stages or (Stage(1.0, twin.phases),), dict.fromkeys(COMPARED, 0.0)
        for stage in stages:
            for name in COMPARED:
                try:
                    with applied(FIXED[name], twin.autocast_networks(), self.x.device):
                        seconds = self.seconds(partial(self.step, twin, optimizers, stage))
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    seconds = math.inf
                found[name] += stage.share * seconds / (len(self.x) * len(stage.phases))
        return found

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
        """Make one training step of a stage, without moving the weights."""
        learned = {phase: twin.phase_parameters(phase) for phase in optimizers}
        for phase in stage.phases:
            with only(learned, phase):
                loss = twin.loss(self.x, self.y, phase=phase, step=1).total
                add_gradient(loss, learned, phase)
            # No step, or weights would drift.
            update(optimizers[phase], 0.0, self.parts.trainer.clip_norm, loss.detach())


@contextmanager
def applied(precision: FixedPrecision, networks: list[nn.Module], device: torch.device) -> Iterator[None]:
    """Let networks compute in a precision inside the block, by hooks that are removed afterwards."""
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
