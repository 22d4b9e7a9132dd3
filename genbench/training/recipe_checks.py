"""The size of a batch and the times of evaluations, against the budget, the data and the free memory; checked
before a run begins.
"""

import copy

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from genbench.data import ImageData
from genbench.generator import Generator
from genbench.runtime import rng
from genbench.runtime.memory import check_memory, free_memory
from genbench.training.loop import Recipe
from genbench.training.step import model_batch, only

__all__ = ["check_memory_of_batch", "check_times", "saved_bytes"]

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
            "before any evaluation on the way: take less, or null for one at the end alone"
        )


def check_memory_of_batch(model: Generator, data: ImageData, recipe: Recipe, device: torch.device) -> None:
    """Raise ValueError where a step on one batch would not fit into the memory of `device`, with the largest
    batch that may; called before a run begins, with the model on the CPU.
    Where the batch is large, two images go through a copy of the model, to find out what a step saves.
    """
    trainer = recipe.trainer
    if device.type == "cuda":
        free, parts = torch.cuda.mem_get_info(device)[0], trainer.accumulate * trainer.devices
    else:
        free, parts = free_memory(), trainer.accumulate
    read = 5 * data.test.images[0].numel() + 8  # an image as bytes and as float32, and its number
    if trainer.batch_size * read * (1 + MANY / parts) > free:
        pair = model_batch(model, data.train, torch.arange(2) % len(data.train), torch.device("cpu"))
        each = read + saved_bytes(model, *pair) / parts
        check_memory("trainer.batch_size", trainer.batch_size, each, free=free)


def saved_bytes(model: Generator, x: Tensor, y: Tensor | None) -> float:
    """Measure the bytes that one training image has saved for the backward pass, in the phase that saves
    most, on x (B, C, H, W) and y (B,) or None: what twice the batch saves more, so that weights do not count.
    """
    twin = copy.deepcopy(model).train().requires_grad_(True)
    learned = {phase: twin.phase_parameters(phase) for phase in twin.phases}
    twice = torch.cat([x, x]), None if y is None else torch.cat([y, y])

    def saved(phase: str, x: Tensor, y: Tensor | None) -> int:
        sizes = dict[int, int]()  # by address: what several operations save is there once

        def note(tensor: Tensor) -> Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with only(learned, phase), saved_tensors_hooks(note, lambda tensor: tensor):
            kept = twin.loss(x, y, phase=phase, step=1)  # addresses are used again of what is freed
        return sum(sizes.values()) if kept.total.requires_grad else 0

    with rng.fork(x.device):
        return max(0, *(saved(phase, *twice) - saved(phase, x, y) for phase in twin.phases)) / len(x)
