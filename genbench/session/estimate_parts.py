"""The parts of what a run would take, each measured on a few steps, samples or images of it."""

import copy
import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from genbench.data import Split
from genbench.evaluation.evaluator import SPLITS
from genbench.evaluation.gallery import CAPTIONS, CLASSES, GRID, Gallery
from genbench.evaluation.held_out import SOLVER_ERROR_IMAGES, HeldOut
from genbench.evaluation.samples import sample_count, training_labels
from genbench.generator import Generator, Latent, Likelihood, Y
from genbench.metrics import MissingWeights, Reference, collect, compute, reference_path, take
from genbench.runtime import rng
from genbench.session.session import Session
from genbench.tracking import Trackers
from genbench.training.closed_form_fit import fit_images
from genbench.training.flops import sampling_flops, training_flops
from genbench.training.state import Trained
from genbench.training.step import captions_of
from genbench.training.validation import MOST, Validation, validated_phases

__all__ = [
    "Part",
    "counting",
    "details",
    "evaluation",
    "likelihood",
    "picture_bytes",
    "pictures",
    "quick_evaluations",
    "seconds_a_sample",
    "training",
    "validations",
]

FEW = 32  # samples or images, at most, that a part is measured on
SCORED = 512  # images, at most, on which scores are timed
PATIENCE = 3.0  # seconds for their features
LONG = 1.0  # seconds of one call that is not repeated


class Part(NamedTuple):
    """One part of a run: its name, its seconds, and what is done in them, for a line of a table."""

    name: str
    seconds: float
    note: str
    images: float = 0.0
    """Of a training: as many as it sees."""


def training(session: Session, trained: Trained, rate: float) -> Part:
    """Estimate what is left of the training of a session at `rate` images a second; min(seconds, images /
    rate), of the limits that its budget has. trained: a trial of a few steps, which tells what is fitted
    after a training.
    """
    budget, checkpoint = session.budget(trained.model), session.checkpoint
    limits = (budget.seconds, None if budget.images is None else budget.images / rate)
    whole = min(limit for limit in limits if limit is not None)
    spent = 0.0 if checkpoint is None else budget.spent(checkpoint["images_seen"], checkpoint["seconds"])
    seconds = whole * max(1 - spent, 0.0)
    more = fit_images(round(whole * rate)) / fit_images(trained.images_seen)
    fitting = trained.fitting_seconds * more
    left = f" left of {whole * rate:,.0f}" if spent else ""
    note = f"{seconds * rate:,.0f} images{left}, {rate:,.0f} images/s"
    return Part("training", seconds + fitting, note, seconds * rate)


def quick_evaluations(session: Session, images: float, each: float) -> list[Part]:
    """Estimate the evaluations during a training of so many images; each: seconds of a sample. Features and
    scores of so few samples are left out.
    """
    trainer = session.parts.trainer
    if trainer.evaluate_every_images is None:
        return []
    count = int(images // trainer.evaluate_every_images)
    seconds = count * trainer.evaluate_samples * each
    return [Part("on the way", seconds, f"{count:,} quick evaluations of {trainer.evaluate_samples} samples")]


def validations(session: Session, trial: Session, model: Generator, images: float) -> list[Part]:
    """Estimate the validations of a training of so many images, from one of them, of the averaged weights of
    a trial; nothing without validation images.
    """
    every, split, validator = (
        session.parts.trainer.validate_every_images,
        trial.data.validation,
        trial.validator,
    )
    if every is None or split is None or validator is None:
        return []
    one = Validation(
        split, None, "loss", better=-1, patience=None, on_validate=validator, context=trial.context
    )
    seconds, count = seconds_of(lambda: one.measure(model, validated_phases(model))), int(images // every) + 1
    note = f"{count:,} of {min(len(split), MOST):,} images each"
    return [Part("validation", count * seconds, note)]


def pictures(session: Session, model: Generator, count: int, each: float) -> Part:
    """Estimate the time of `count` grids of samples; each: seconds of a sample."""
    n = grid_size(session, model)
    return Part(
        "pictures", count * n * each, f"{count:,} grid{'s' * (count > 1)} of {n} samples, and details"
    )


def details(trial: Session, model: Generator) -> float:
    """Measure the seconds of the pictures that are drawn once, at the end: trajectories and their animation,
    rebuilt images, interpolations, codes, as far as the model has them. They are written into the folder of
    the trial.
    """
    parts, trainer = (trial.here.samples, Trackers([]), trial.data, trial.context), trial.parts.trainer
    gallery = Gallery(*parts, samples_per_class=trainer.samples_per_class, animation=trainer.animation)
    return seconds_of(lambda: gallery.details(model, 0))


def counting(trial: Session, trained: Trained) -> Part:
    """Measure the seconds in which a run counts the operations of its training and of a sample, which it does
    once and which takes longer than the same steps uncounted.
    """
    model, device = trained.model, trial.parts.device
    x, y = trial.pair(model)
    seconds = seconds_of(lambda: training_flops(model, x, y)) if model.phases else 0.0
    seconds += seconds_of(lambda: sampling_flops(trained.ema.model, y, n=2, device=device))
    return Part("costs", seconds, "operations of a training step and of 2 samples are counted")


def picture_bytes(session: Session, model: Generator) -> int:
    """Estimate the bytes of a grid of samples, as if it could not be compressed."""
    return grid_size(session, model) * math.prod(session.data.shape)


def grid_size(session: Session, model: Generator) -> int:
    """Count the samples of a grid: 64, or a row for each class of a conditional model, or each of 8 captions
    of one of text.
    """
    rows = CAPTIONS if model.takes_text else min(model.num_classes, CLASSES)
    return rows * session.parts.trainer.samples_per_class or GRID


@torch.no_grad()
def seconds_a_sample(session: Session, model: Generator) -> float:
    """Measure the seconds of one sample, copied to the host: on a CPU in a batch of at most 32, on a GPU,
    which works on many at once, in a batch of the evaluation's size.
    """
    device, metrics = session.parts.device, session.parts.metrics
    most = FEW if device.type == "cpu" else max(sample_count(metrics, session.data), 1)
    n = min(most, metrics.batch_size)
    stream = rng.generator(device, session.parts.seed, "estimate")
    y: Y = training_labels(model, session.data, n, stream)
    if model.takes_text:
        test = session.data.test
        y = captions_of(test, torch.arange(n) % len(test), device)
    return steady_seconds(lambda: model.sample(n, y, rng=stream).cpu()) / n  # the copy waits for the device


@torch.no_grad()
def likelihood(trial: Session, model: Generator) -> list[Part]:
    """Estimate likelihood and reconstruction on held-out images from at most 32 of them; nothing for a model
    that has neither, or where none are asked for.
    """
    whole = trial.evaluator.held_out.n
    few = copy.copy(trial.parts.metrics)
    few.likelihood_samples = min(whole, FEW)
    held_out, seconds, measured = HeldOut(trial.data, few, trial.context), 0.0, list[str]()
    if whole and isinstance(model, Likelihood):
        seconds += steady_seconds(lambda: held_out.nats(model)) * whole / held_out.n
        if model.discretized:  # integrated again in finer steps
            again = min(whole, SOLVER_ERROR_IMAGES) / held_out.n
            seconds += steady_seconds(lambda: held_out.refinements(model)) * again
        measured.append("bits/dim")
    if whole and isinstance(model, Latent) and not model.inverts:
        seconds += steady_seconds(lambda: held_out.errors(model)) * whole / held_out.n
        measured.append("reconstruction")
    return [Part("likelihood", seconds, f"{' and '.join(measured)} of {whole:,} test images")] * bool(
        measured
    )


def evaluation(trial: Session, samples: int) -> list[Part]:
    """Estimate what the scores of so many samples take beside their drawing: a classifier that must be
    trained first, the features of samples and of real images that no cache holds, and the scores themselves.
    """
    data, metrics, device = trial.data, trial.parts.metrics, trial.parts.device
    if not samples or metrics.features is None:
        return []
    try:
        extractor, images, seconds = metrics.features.pilot(data, device=device)
    except MissingWeights:
        return [Part("evaluation", 0.0, "not estimated: the weights of its features are missing")]
    order, count = trial.evaluator.held_out.order, min(sample_count(metrics, data), len(data.test))

    # Features of a few images, then of as many as a few seconds suffice for
    first = order[: min(FEW, count)]
    rough = steady_seconds(lambda: take(extractor, *data.test.gather(first, device))) / len(first)
    n = min(count, max(metrics.needed, min(int(PATIENCE / rough), SCORED)))
    started = time.perf_counter()
    taken = take(extractor, *data.test.gather(order[:n], device))
    captions = data.test.captions if trial.parts.model.takes_text else None
    if captions is not None:  # whose numbers are the labels of samples
        taken = taken._replace(labels=order[:n])
    each = (time.perf_counter() - started) / n

    # Scores of these against themselves, the first time with what is loaded once
    drawn = collect([taken], n, extractor=extractor, of="test", seed=0, captions=captions)
    split = Split(taken.images, drawn.classes)
    real = Reference("train", extractor.protocol, drawn.moments, drawn.features, split)
    real = real._replace(distribution=data.distribution)
    begin, again = (seconds_of(lambda: compute(drawn, metrics.scores, [real])) for _ in range(2))
    # Each sample is scored against both splits, each held-out image against one.
    scores = again / n * (len(SPLITS) * samples + count) + max(begin - again, 0.0)
    splits = {"train": data.whole_train, "test": data.test}
    missing = [name for name in splits if not reference_path(extractor, data, name).is_file()]
    passed = samples + count + (fresh := sum(len(splits[name]) for name in missing))
    known = f"those of {fresh:,} real images too" if fresh else "real images are cached"
    classifier = f"trained on {images:,} images, once for these data"
    trained = [Part("classifier", seconds, classifier)] * bool(images)
    return [*trained, Part("evaluation", each * passed + scores, f"features and scores; {known}")]


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
