"""Rules of wrong inputs: each is refused by a ValueError that says what is legal."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from genbench.contract.candidate import Candidate, NotApplicable, expect_refusal
from genbench.generator import Decodes, Generator, Latent, Y

__all__ = [
    "an_unknown_phase_is_refused",
    "wrong_images_are_refused_with_the_shape_and_the_remedy",
    "wrong_labels_are_refused_with_the_value_and_the_legal_set",
]

SHAPES = ("images have shape ", "this model takes (B, ")
"""Parts of the message on images of a wrong shape, in their order: the shape received, the shape needed."""


def wrong_images_are_refused_with_the_shape_and_the_remedy(candidate: Candidate) -> None:
    """loss refuses images of another shape, and bytes, by a ValueError with the shape or dtype and the
    remedy: call `check_batch(x, y)` first, whose message it is."""
    model, (_, y) = candidate.fresh(), candidate.batch(2)
    channels, height, width = model.shape
    for x in (torch.zeros(2, channels, 2 * height, 2 * width), torch.zeros(2, height, width)):
        given = f"images of shape {tuple(x.shape)}"
        expect_refusal(partial(model.loss, x, y, phase=model.phases[0]), given, SHAPES)
    x = torch.zeros(2, *model.shape, dtype=torch.uint8)
    expect_refusal(lambda: model.loss(x, y, phase=model.phases[0]), "images in uint8", ["to_float"])


def wrong_labels_are_refused_with_the_value_and_the_legal_set(candidate: Candidate) -> None:
    """loss, sample, encode and decode refuse labels that are missing, out of range, too few or floats, and an
    unconditional model any, by a ValueError with the legal ones: call `check_labels(y, n)` first."""
    model, (x, _) = candidate.fresh(), candidate.batch(2)
    if model.takes_text:
        raise NotApplicable("the model takes texts, and other rules say which it refuses")
    if model.num_classes == 0:
        y = torch.zeros(2, dtype=torch.int64)
        given = "labels in loss of an unconditional model"
        expect_refusal(lambda: model.loss(x, y, phase=model.phases[0]), given, ["y=None"])
        return
    K = model.num_classes
    short, floats = torch.tensor([0]), torch.zeros(2)
    wrong = (None, torch.tensor([0, K]), torch.tensor([-1, 0]), short, floats)
    for labels in wrong:
        shown = "no labels" if labels is None else f"labels {labels.tolist()}"
        for name, call in uses(model, x, labels).items():
            expect_refusal(call, f"{shown} in {name}", [f"from 0 to {K - 1}"])


def uses(model: Generator, x: Tensor, y: Y) -> dict[str, Callable[[], object]]:
    """Return the calls that take labels, by their names: those that the model has."""
    found = {"loss": lambda: model.loss(x, y, phase=model.phases[0]), "sample": lambda: model.sample(2, y)}
    if isinstance(model, Latent):
        found["encode"] = lambda: model.encode(x, y)
    if isinstance(model, Decodes):
        found["decode"] = lambda: model.decode(torch.zeros(2, *model.latent_shape), y)
    return found


def an_unknown_phase_is_refused(candidate: Candidate) -> None:
    """loss refuses a phase that the model does not have by a ValueError with its name: call
    `check_phase(phase)` first."""
    model, (x, y) = candidate.fresh(), candidate.batch()
    wanted = "phase 'nonsense' is unknown"
    expect_refusal(lambda: model.loss(x, y, phase="nonsense"), "phase 'nonsense'", [wanted])
