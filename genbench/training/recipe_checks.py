"""The size of a batch and the times of evaluations, against the budget, the data and the free memory; whether
steps can be recorded as CUDA graphs, and gradients are sent at all; checked before a run begins.
"""

import copy
import math

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from genbench.generator import Generator
from genbench.runtime import rng
from genbench.runtime.memory import check_memory, free_memory
from genbench.runtime.precision import Float16, Precision
from genbench.training.cuda_graphs import check_fused
from genbench.training.loop import Recipe, Trainer
from genbench.training.snapshots import MOST
from genbench.training.step import only

__all__ = [
    "check_cuda_graphs",
    "check_gradients",
    "check_memory_of_batch",
    "check_snapshots",
    "check_times",
    "saved_bytes",
]

MANY = 10_000
"""Bytes saved for each byte of an image, more than networks do: batches that fit by it are not measured."""


def check_times(recipe: Recipe, training_images: int) -> None:
    """Raise ValueError where a batch is larger than the budget and the training set, or where evaluations on
    the way are asked for and the budget ends before the first.
    """
    trainer, images = recipe.trainer, recipe.budget.images
    if images is None:
        return
    if trainer.batch_size > max(images, training_images):
        raise ValueError(
            f"trainer.batch_size is {trainer.batch_size}, and a single step would overrun budget.images="
            f"{images}; the training set has {training_images} images: take at most "
            f"{max(images, training_images)}, or raise the budget"
        )
    every = trainer.evaluate_every_images
    if every is not None and every >= images:
        raise ValueError(
            f"trainer.evaluate_every_images is {every}, and the training ends at budget.images={images}, "
            "before the first evaluation during training: use a smaller value, or null to evaluate only at "
            "the end"
        )


def check_snapshots(model: Generator, count: int | None) -> None:
    """Raise ValueError on a number of snapshots, trainer.ema_snapshots, that a training of this model cannot
    take: too many, or of a model that is trained in stages or not at all.
    """
    if count is None:
        return
    if count > MOST:
        raise ValueError(f"trainer.ema_snapshots is {count}; it must be from 1 to {MOST}, e.g. 32, or null")
    asked = f"trainer.ema_snapshots={count} averages weights over the whole training"
    if len(model.stages) > 1:
        raise ValueError(
            f"{asked}, and this model is trained in {len(model.stages)} stages, each of which moves some of "
            "them: set trainer.ema_snapshots=null, or take a stage from an earlier run (autoencoder=run, "
            "base_model=run)"
        )
    if not model.phases:
        raise ValueError(f"{asked}, and this model is not trained: set trainer.ema_snapshots=null")


def check_cuda_graphs(
    model: Generator, recipe: Recipe, precision: Precision, device: torch.device, *, processes: int
) -> None:
    """Raise ValueError where trainer.cuda_graphs asks for graphs of steps that cannot be recorded: not on a
    GPU, in several parts or processes, with a scale of the loss, with an optimizer without fused kernels, or
    of a model whose steps differ. processes: of the run, also where torchrun starts them.
    """
    trainer = recipe.trainer
    if not trainer.cuda_graphs:
        return
    if device.type != "cuda":
        raise ValueError(
            f"trainer.cuda_graphs is true, and {device} is no GPU: use device=cuda, or "
            "trainer.cuda_graphs=false"
        )
    if trainer.accumulate > 1 or processes > 1:
        raise ValueError(
            "trainer.cuda_graphs is true, and a graph holds a whole batch, which trainer.accumulate="
            f"{trainer.accumulate} in {processes} process{'es' * (processes > 1)} divides: use "
            "trainer.accumulate=1 and trainer.devices=1 without torchrun, or trainer.cuda_graphs=false"
        )
    if isinstance(precision, Float16):
        raise ValueError(
            "trainer.cuda_graphs is true, and precision=fp16 has a scale of the loss, which changes between "
            "steps: use precision=bf16 or fp32, or trainer.cuda_graphs=false"
        )
    if model.phases:
        check_fused(recipe.optim(model.parameters()))
        model.check_replayable()


def check_gradients(trainer: Trainer, processes: int) -> None:
    """Raise ValueError where trainer.gradients=bf16 would do nothing: `processes` is 1, on all machines
    together, and sends no gradients.
    """
    if trainer.gradients != "fp32" and processes == 1:
        raise ValueError(
            f"trainer.gradients is {trainer.gradients}, in which processes send each other gradients, and "
            "there is one process: use trainer.devices=2 or more, or trainer.gradients=fp32"
        )


def check_memory_of_batch(model: Generator, trainer: Trainer, device: torch.device) -> None:
    """Raise ValueError where a step on one batch would not fit into the memory of `device`, with the largest
    batch that may; called before a run begins, with the model on the CPU.
    Where the batch is large, black images go through a copy of the model, to find out what a step saves.
    """
    if device.type == "cuda":
        free, parts = torch.cuda.mem_get_info(device)[0], trainer.accumulate * trainer.devices
    else:
        free, parts = free_memory(), trainer.accumulate
    read = 5 * math.prod(model.shape) + 8  # an image as bytes and as float32, and its number
    if trainer.batch_size * read * (1 + MANY / parts) > free:
        each = read + saved_bytes(model) / parts
        check_memory("trainer.batch_size", trainer.batch_size, each, free=free)


def saved_bytes(model: Generator) -> float:
    """Measure the bytes that one training image has saved for the backward pass, in the phase that saves
    most: what four images save beyond two, so that weights do not count. The model is on the CPU.
    """
    twin = copy.deepcopy(model).train().requires_grad_(True)
    learned = {phase: twin.phase_parameters(phase) for phase in twin.phases}

    def saved(phase: str, n: int) -> int:
        x = torch.full((n, *model.shape), -1.0)  # black: legal also where images have two colours alone
        _, y = model.example(n)
        sizes = dict[int, int]()  # by address: what several operations save is there once

        def note(tensor: Tensor) -> Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with only(learned, phase), saved_tensors_hooks(note, lambda tensor: tensor):
            kept = twin.loss(x, y, phase=phase, step=1)  # addresses are used again of what is freed
        return sum(sizes.values()) if kept.total.requires_grad else 0

    with rng.fork(torch.device("cpu")):
        return max(0, *(saved(phase, 4) - saved(phase, 2) for phase in twin.phases)) / 2
