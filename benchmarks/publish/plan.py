"""The plan of the published benchmark: its parts, each a list of runs and a page."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from benchmarks.publish import runs
from benchmarks.publish.measure import PROMPTS
from benchmarks.publish.planned import Place, Planned, Size

__all__ = ["PARTS", "Part", "plan"]


class Part(NamedTuple):
    """One part of the benchmark: a page of its own. about: what is equal, how it is measured, for readers,
    with the numbers of a size by their names.

    runs: of a size and the places of things -> the runs.
    """

    key: str
    title: str
    about: str
    runs: Callable[[Size, Place], Iterator[Planned]]


PARTS = (
    Part(
        "fashion_mnist",
        "Fashion-MNIST, at equal seconds",
        "Grey images of 28x28 pixels, {size.fashion:g} seconds of training each. "
        + ", ".join(runs.TUNED)
        + " have settings tuned on these data, and {size.repeats}; the others have "
        "settings made for digits, and one seed. unclip, which draws to texts alone, is in another part.",
        runs.fashion_mnist,
    ),
    Part(
        "digits_seconds",
        "Digits, at equal seconds",
        "Grey images of 8x8 pixels, {size.digits:g} seconds of training each, {size.repeats}. These are "
        "1,438 images, which the quickest models see hundreds of times.",
        runs.digits_seconds,
    ),
    Part(
        "tiny_data",
        "100 images",
        "Digits cut to 100 training images, ten of a class; {size.tiny:g} seconds of training, "
        "{size.repeats}. Distances are to all 1,438 training images, most of which no model has seen, and so "
        "is `authentic`; the first table counts copies of the 100 images alone.",
        runs.tiny_data,
    ),
    Part(
        "text",
        "Images of a text",
        "Captioned scenes of 32x32 pixels, {size.text:,.0f} seconds of training, one seed; samples are "
        "guided but for consistency. In a right image everything that its caption says is right. "
        f"The samples below are drawn to {' and to '.join(map(repr, PROMPTS))}.",
        runs.text,
    ),
    Part(
        "few_steps",
        "Few network evaluations per sample",
        "Digits, {size.images:,} images each, {size.repeats}: one training, sampled in several numbers of "
        "steps, ddpm by DDIM, flow_matching by Euler's method.",
        runs.few_steps,
    ),
    Part(
        "guidance",
        "Scale of guidance",
        "Digits with labels, {size.images:,} images, {size.repeats}: one training, sampled at several scales "
        "of classifier-free guidance. At a scale of 1 it is unguided, at 0 the labels are not used.",
        runs.guidance,
    ),
    Part(
        "heat_map",
        "Noise schedule and loss of a DDPM",
        "Digits, {size.images:,} images each, {size.repeats}; everything else is the default.",
        runs.heat_map,
    ),
    Part(
        "gaussians",
        "A distribution that is known exactly",
        "{size.gaussians:,} images each, {size.repeats}. `gap` is what a model needs above the floor, the "
        "data's entropy. A GAN needs more images than these: its default is 60,000.",
        runs.gaussians,
    ),
    Part(
        "digits_defaults",
        "Digits, every model with its own budget",
        "The budget that each model's options have; budgets differ, so nothing is ranked.",
        runs.digits_defaults,
    ),
    Part(
        "stability",
        "Stability",
        "Digits, {size.stable:,} images each: three factors on the learning rates of four models.",
        runs.stability,
    ),
    Part(
        "time_to_target",
        "Time to a target",
        "Fashion-MNIST: seconds of training until the FID of the samples comes to ten times that of real "
        "held-out images, at most {size.target:,.0f}. Not reached is a result.",
        runs.time_to_target,
    ),
    Part(
        "claims",
        "Claims of texts",
        "The runs of the [claims](../claims.md), which has a page of its own.",
        runs.claims,
    ),
)
"""All parts, in the order in which they are executed and stand on the pages: what most depends on, first."""


def plan(keys: Sequence[str], size: Size, where: Place) -> list[Planned]:
    """Return the runs of some parts, by seeds, and for each seed in the order of the parts: a benchmark that
    is interrupted has one seed of every row before any row has two.
    """
    found = [each for part in PARTS if part.key in keys for each in part.runs(size, where)]
    return sorted(found, key=lambda each: each.seed)
