"""Rules of whole trainings in genbench's own loop: resuming, accumulating and validating change nothing."""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from genbench.contract.candidate import CPU, TEXTS, Candidate, NotApplicable, expect
from genbench.data import ImageData, Split
from genbench.generator import Generator
from genbench.runtime.context import Context
from genbench.runtime.precision import LossScaling
from genbench.runtime.stop import StopRequest
from genbench.tracking import Tracker
from genbench.training.budget import Budget
from genbench.training.checkpoint import CheckpointStore
from genbench.training.loop import Hooks, OptimizerFactory, Recipe, Trainer, train
from genbench.training.lr_schedule import Cosine
from genbench.training.state import Trained
from genbench.training.validation import Validation, validated_phases

__all__ = [
    "a_training_in_bfloat16_resumes_bit_for_bit",
    "a_training_in_two_parts_equals_one_bit_for_bit",
    "a_validation_is_finite_repeats_itself_and_changes_nothing",
    "an_accumulated_training_is_that_of_whole_batches",
]

ADAM = partial(torch.optim.Adam, lr=1e-2, fused=True)
# Plain gradient steps: Adam would make whole steps of gradients that are 0 but for rounding.
SGD = partial(torch.optim.SGD, lr=0.01, fused=True)


class StopsAt(Tracker):
    """A tracker that records nothing, and asks to stop once so many images are seen, as Ctrl-C would."""

    def __init__(self, images_seen: int | None = None) -> None:
        self.at, self.stop = images_seen, StopRequest()

    def log(self, values: Mapping[str, float], *, images_seen: int) -> None:
        self.stop.signalled = self.at is not None and images_seen >= self.at

    def image(self, name: str, path: Path, *, images_seen: int) -> None:
        pass

    def summary(self, values: Mapping[str, float | str | None]) -> None:
        pass

    def state(self) -> dict[str, Any]:
        return {}

    def finish(self, status: str) -> None:
        pass


def a_training_in_two_parts_equals_one_bit_for_bit(candidate: Candidate) -> None:
    """A training of 128 images that is stopped at 64 and resumed from its checkpoint ends in the weights of
    one without a stop, bit for bit: what training changes is a parameter or a buffer."""
    check_resume(candidate.fresh, 128)


def a_training_in_bfloat16_resumes_bit_for_bit(candidate: Candidate) -> None:
    """A training of 64 images under precision=bf16 that is stopped at 32 and resumed ends in the weights of
    one without a stop, bit for bit."""
    check_resume(candidate.lowered, 64)


def check_resume(make: Callable[[], Generator], budget: int, scaling: LossScaling | None = None) -> None:
    """Raise Broken unless trainings to a budget of images, straight and in two halves, end alike.
    scaling: of the loss of a model whose networks compute in float16.
    """
    model, recipe = make(), replace(recipe_of(budget), loss_scaling=scaling)
    split = twenty_images(model)
    with TemporaryDirectory() as one, TemporaryDirectory() as two:
        straight = train_in(Path(one), model, split, recipe)
        half = train_in(Path(two), make(), split, recipe, stop_at=budget // 2)
        stopped = f"{half.images_seen} images, finished={half.finished}"
        expect(not half.finished, f"a training that stops at {budget // 2} images", stopped)
        resumed = train_in(Path(two), make(), split, recipe)
    ours, theirs = numbers(straight), numbers(resumed)
    apart = [name for name, value in ours.items() if not torch.equal(value, theirs[name])]
    expect(apart == [], "the resumed training equal to the straight one", f"others in {', '.join(apart[:4])}")


def an_accumulated_training_is_that_of_whole_batches(candidate: Candidate, parts: int = 3) -> None:
    """A training with trainer.accumulate=3 ends in the weights and buffers of one on whole batches, to 0.1
    % of the largest number of each: what is learned outside the gradient moves once a step, not once a
    part."""
    if candidate.batchwise:
        raise NotApplicable("the loss of an image depends on the other images of its batch")
    split = twenty_images(candidate.built)
    recipes = [recipe_of(48, batch_size=12, accumulate=each, optim=SGD) for each in (1, parts)]
    with TemporaryDirectory() as one, TemporaryDirectory() as two:
        folders = (Path(one), Path(two))
        whole, accumulated = (
            train_in(folder, candidate.fresh(), split, recipe).model.state_dict()
            for folder, recipe in zip(folders, recipes, strict=True)
        )
    # float32 sums in another order, over 2 to 4 steps: of the largest number of a tensor. A flow's error of
    # inversion is itself a rounding error, also of one that is the base of a cascade.
    apart = {
        name: distance(accumulated[name], value)
        for name, value in whole.items()
        if name.rpartition(".")[2] != "inverse_error"
    }
    apart = {name: value for name, value in apart.items() if not value < 1e-3}
    came = ", ".join(f"{name} {value:.2g} apart" for name, value in list(apart.items())[:4])
    expect(apart == {}, "the state of whole batches to 0.001", came)


def a_validation_is_finite_repeats_itself_and_changes_nothing(candidate: Candidate) -> None:
    """The losses of data.validation, of a model in evaluation mode without gradients, are finite, the same
    each time, and leave weights, buffers and torch's random numbers as they were."""
    model, phases = candidate.sampler().requires_grad_(False), validated_phases(candidate.built)
    validation = Validation(
        twenty_images(model),
        None,
        "loss",
        better=-1,
        patience=None,
        on_validate=lambda model: {},
        context=Context(CPU),
    )
    state, stream = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    first, second = (validation.measure(model, phases) for _ in range(2))
    infinite = [name for name, value in first.items() if not math.isfinite(value)]
    expect(infinite == [], "finite losses of validation images", f"others in {', '.join(infinite)}")
    expect(first == second, f"the losses {first} once more", second)
    moved = [name for name, value in model.state_dict().items() if not value.equal(state[name])]
    expect(moved == [], "weights and buffers as they were", f"others in {', '.join(moved[:4])}")
    expect(torch.equal(torch.get_rng_state(), stream), "torch's random numbers as they were", "others")


def distance(a: Tensor, b: Tensor) -> float:
    """Return the largest difference of two tensors, divided by the largest number of the second."""
    return float((a.double() - b.double()).abs().max() / b.double().abs().max().clamp(1e-3))


def twenty_images(model: Generator) -> Split:
    """Return 20 images of random bytes, with all classes or texts in turn where the model takes any."""
    draws = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (20, *model.shape), generator=draws, dtype=torch.uint8)
    split = Split(images, torch.arange(20) % model.num_classes if model.num_classes else None)
    if model.takes_text:
        split.conditions = model.condition([TEXTS[k % len(TEXTS)] for k in range(20)])
    return split


def recipe_of(
    budget: int, *, batch_size: int = 16, accumulate: int = 1, optim: OptimizerFactory = ADAM
) -> Recipe:
    """Return the recipe of a short training on `budget` images, which logs every 16 images."""
    trainer = Trainer(batch_size=batch_size, accumulate=accumulate, log_every_images=16)
    return Recipe(trainer, optim, Cosine(64), Budget(budget))


def train_in(
    folder: Path, model: Generator, split: Split, recipe: Recipe, stop_at: int | None = None
) -> Trained:
    """Train a model in the loop of genbench, from the checkpoint in a folder if there is one."""
    store, tracker = CheckpointStore(folder / "checkpoints"), StopsAt(stop_at)
    return train(
        model,
        ImageData("random", split, split, (), 0, True, "key", model.shape),
        recipe,
        Hooks(tracker, lambda model, images_seen: None, lambda model: {}),
        checkpoints=store,
        checkpoint=store.load(CPU),
        context=Context(CPU, 0, stop=tracker.stop),
    )


def numbers(trained: Trained) -> dict[str, Tensor]:
    """Return all that a training left, by name: weights and buffers, averages, optimizers, scales."""
    found = dict(trained.model.state_dict())
    found |= {f"average of {name}": value for name, value in trained.ema.model.state_dict().items()}
    for phase, optimizer in trained.optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            found |= {f"{name} of {phase}'s parameter {index}": value for name, value in state.items()}
    for phase, scaler in trained.scalers.items():
        found |= {f"scale of the loss of {phase}": scaler.scale, f"streak of {phase}": scaler.streak}
    return found
