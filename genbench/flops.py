"""Floating-point operations of training and of sampling, counted and not declared."""

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from genbench import rng
from genbench.generator import Generator, Stage
from genbench.step import only

__all__ = ["count", "sampling_flops", "training_flops"]


class Operations(TorchDispatchMode):
    """Adds up what torch's own formulas say of each operation.

    torch's FlopCounterMode, which reads the same formulas, fails on losses that differentiate twice.
    """

    total = 0

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


def count(work: Callable[[], object]) -> int:
    """Operations of the matrix products, convolutions and attentions of some work.

    A multiplication and the addition that belongs to it are two; everything else is left out.
    """
    with Operations() as operations:
        work()
    return operations.total


def training_flops(model: Generator, x: Tensor, y: Tensor | None) -> float:
    """Operations of a training, forward and backward, for each image that it sees; x (B, C, H, W).

    The mean over one period of the model's steps. What is done at step 0 alone is left out.
    """
    twin = copy.deepcopy(model).train().requires_grad_(True)
    learned = {phase: twin.phase_parameters(phase) for phase in twin.phases}

    def pass_over(phases: tuple[str, ...], step: int) -> None:
        for phase in phases:
            with only(learned, phase):
                twin.loss(x, y, phase=phase, step=step).total.backward()

    def cost(phases: tuple[str, ...]) -> float:
        usual = count(partial(pass_over, phases, 1))
        rare = usual if model.period == 1 else count(partial(pass_over, phases, model.period))
        return (usual + (rare - usual) / model.period) / (len(x) * len(phases))

    with rng.fork(x.device):
        stages = model.stages or (Stage(1.0, model.phases),)
        costs = [cost(phases) for _, phases in stages]
    return sum(stage.share * cost for stage, cost in zip(stages, costs, strict=True))


@torch.no_grad()
def sampling_flops(model: Generator, y: Tensor | None, *, n: int, device: torch.device) -> float:
    """Operations that one of n samples costs; y (n,) or None."""
    stream = torch.Generator(device=device).manual_seed(0)
    return count(lambda: model.sample(n, y, rng=stream)) / n
