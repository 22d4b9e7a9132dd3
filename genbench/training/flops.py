"""Floating-point operations of training and of sampling, counted by running a step and a sample under torch's
own formulas, not declared by models.
"""

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from genbench.generator import Generator, Stage, Y
from genbench.runtime import rng
from genbench.training.step import add_gradient, only

__all__ = ["count", "sampling_flops", "spent_flops", "training_flops"]


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
    with Operations() as operations:  # type: ignore[no-untyped-call]  # of torch
        work()
    return operations.total


def training_flops(model: Generator, x: Tensor, y: Y) -> float:
    """Operations of a training for each image that it sees, where stages see their shares of all images.

    x (B, C, H, W); y (B,) or None. See `stage_flops`.
    """
    costs = stage_flops(model, x, y)
    return sum(stage.share * costs[stage.phases] for stage in stages_of(model))


def spent_flops(
    model: Generator, x: Tensor, y: Y, *, images: Mapping[tuple[str, ...], int], images_seen: int
) -> float:
    """Operations of a training of which each stage saw so many `images`, by its phases.

    Of a budget in seconds the shares of stages are of time, and a slow stage sees fewer images than others.
    Those of the `images_seen` that no stage counts, in checkpoints of before, cost what an image costs on
    average over the shares.
    """
    costs = stage_flops(model, x, y)
    mean = sum(stage.share * costs[stage.phases] for stage in stages_of(model))
    uncounted = images_seen - sum(images.values())
    return sum(costs[phases] * count for phases, count in images.items()) + mean * uncounted


def stages_of(model: Generator) -> tuple[Stage, ...]:
    """A model's stages, or the only one of all its phases."""
    return model.stages or (Stage(1.0, model.phases),)


def stage_flops(model: Generator, x: Tensor, y: Y) -> dict[tuple[str, ...], float]:
    """Operations, forward and backward, for each image that a stage sees, by its phases; x (B, C, H, W).

    The mean over one period of the model's steps. What is done at step 0 alone is left out.
    """
    # A copy, so that neither gradients nor buffers of the model change.
    twin = copy.deepcopy(model).train().requires_grad_(True)
    learned = {phase: twin.phase_parameters(phase) for phase in twin.phases}

    def pass_over(phases: tuple[str, ...], step: int) -> None:
        for phase in phases:
            with only(learned, phase):
                add_gradient(twin.loss(x, y, phase=phase, step=step).total, learned, phase)

    def cost(phases: tuple[str, ...]) -> float:
        usual = count(partial(pass_over, phases, 1))  # not step 0, which may do more for once
        rare = usual if model.period == 1 else count(partial(pass_over, phases, model.period))
        return (usual + (rare - usual) / model.period) / (len(x) * len(phases))

    with rng.fork(x.device):
        return {stage.phases: cost(stage.phases) for stage in stages_of(model)}


@torch.no_grad()
def sampling_flops(model: Generator, y: Y, *, n: int, device: torch.device) -> float:
    """Count the operations that one of n samples costs, drawn at once; y (n,) int64 labels or None. The mean
    over the n, of matrix products, convolutions and attentions.
    """
    stream = torch.Generator(device=device).manual_seed(0)
    return count(lambda: model.sample(n, y, rng=stream)) / n
