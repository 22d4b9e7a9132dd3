"""The parts of what a run would take, each measured on a few steps, samples or images of it: on fewer of a
model that is slow here, so that no part takes more than some seconds.
"""

import copy
import math
import time
from functools import partial
from typing import NamedTuple

import torch

from genbench.data import Split
from genbench.evaluation.animation import sample_count as animated_count
from genbench.evaluation.evaluator import SPLITS
from genbench.evaluation.gallery import CAPTIONS, CLASSES, ENCODED, GRID, ROWS, Gallery
from genbench.evaluation.held_out import SOLVER_ERROR_IMAGES, HeldOut
from genbench.evaluation.samples import sample_count, training_labels
from genbench.evaluation.sampling_mode import sampling_mode
from genbench.generator import FitsAfterTraining, Generator, Latent, Likelihood, Trajectory, Y
from genbench.metrics import MissingWeights, Reference, collect, compute, reference_path, take
from genbench.runtime import rng
from genbench.session.measured_seconds import PATIENCE, Each, each_of, seconds_of, steady_seconds
from genbench.session.session import Session
from genbench.session.spared_passes import SparedPasses
from genbench.session.validation import BITS_IMAGES
from genbench.tracking import Trackers
from genbench.training.closed_form_fit import FEWEST, fit, fit_images
from genbench.training.flops import sampling_flops, training_flops
from genbench.training.loop import Trainer
from genbench.training.state import Trained
from genbench.training.step import captions_of, model_batch
from genbench.training.validation import Validation, validated_phases

__all__ = [
    "Part",
    "counting",
    "details",
    "evaluation",
    "fitting",
    "likelihood",
    "picture_bytes",
    "pictures",
    "quick_evaluations",
    "seconds_a_sample",
    "step_seconds",
    "training",
    "trial_batch",
    "validations",
]

FEW = 32  # samples or images, at most, that a part is measured on
SCORED = 512  # images, at most, on which scores are timed
TRIAL = 15.0  # seconds for the steps of a training
FITS = 2  # of raw and of averaged weights


class Part(NamedTuple):
    """One part of a run: its name, its seconds, and what is done in them, for a line of a table."""

    name: str
    seconds: float
    note: str
    images: float = 0.0
    """Of a training: as many as it sees."""


def step_seconds(trial: Session) -> float:
    """Measure the seconds of counting the operations of a training step: forward and backward of two images
    in each phase of each stage, on a copy of the model.
    """
    model = trial.parts.model.to(trial.parts.device)
    x, y = trial.pair(model)
    first = seconds_of(lambda: training_flops(model, x, y))
    return first if first > PATIENCE else seconds_of(lambda: training_flops(model, x, y))


def trial_batch(trainer: Trainer, device: torch.device, each: float, steps: int) -> int:
    """Choose the batch of a trial of so many steps: that of the training, halved as often as it can be while
    the steps would take more than 15 seconds; each: seconds of a step for each image, measured on two.
    A GPU, on which a step of two images takes as long as one of many, has the whole batch.
    """
    size, unit = trainer.batch_size, trainer.accumulate * trainer.devices
    if device.type == "cuda":
        return size
    while steps * size * each > TRIAL and size >= 4 and size % (2 * unit) == 0:
        size //= 2
    return size


def training(session: Session, rate: float, fitted: float, batch: int) -> Part:
    """Estimate what is left of the training of a session at `rate` images a second; min(seconds, images /
    rate), of the limits that its budget has. fitted: seconds for an image of the fits after a training;
    batch: that of the trial.
    """
    budget, checkpoint = session.budget(session.parts.model), session.checkpoint
    limits = (budget.seconds, None if budget.images is None else budget.images / rate)
    whole = min(limit for limit in limits if limit is not None)
    spent = 0.0 if checkpoint is None else budget.spent(checkpoint["images_seen"], checkpoint["seconds"])
    seconds = whole * max(1 - spent, 0.0)
    left = f" left of {whole * rate:,.0f}" if spent else ""
    few = f", measured in batches of {batch}" if batch < session.parts.trainer.batch_size else ""
    note = f"{seconds * rate:,.0f} images{left}, {rate:,.{0 if rate >= 10 else 1}f} images/s{few}"
    return Part("training", seconds + fitted * FITS * fit_images(round(whole * rate)), note, seconds * rate)


def fitting(trial: Session, model: Generator) -> float:
    """Measure the seconds for an image of what a model leaves to be fitted after its training, 0 of one that
    leaves nothing; the model is fitted afterwards.
    """

    def fit_on(n: int) -> float:
        return fit(model, trial.data.train, n, trial.context)

    if not isinstance(model, FitsAfterTraining):
        return 0.0
    return each_of(fit_on, FEWEST, model, trial.parts.device).seconds


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


def validations(session: Session, trial: Session, model: Generator, images: float, each: float) -> list[Part]:
    """Estimate the validations of a training of so many images from a few of the validation images and the
    averaged weights of a trial; nothing without validation images. each: seconds of a sample. Features and
    scores of so few samples are left out.
    """
    every, split, validator = (
        session.parts.trainer.validate_every_images,
        trial.data.validation,
        trial.validator,
    )
    if every is None or split is None or validator is None:
        return []
    one = Validation(
        split, None, "loss", better=-1, patience=None, on_validate=lambda model: {}, context=trial.context
    )
    order, bits, phases = one.order, min(BITS_IMAGES, len(split)), validated_phases(model)

    def losses_of(n: int) -> None:
        one.order = order[:n]
        one.measure(model, phases)

    seconds = len(order) * each_of(losses_of, len(order), model, trial.parts.device).seconds
    if isinstance(model, Likelihood):
        seconds += bits * bits_of(validator.held_out, bits, trial, model).seconds
    if validator.metrics is not None:
        seconds += session.parts.trainer.evaluate_samples * each
    count = int(images // every) + 1
    return [Part("validation", count * seconds, f"{count:,} of {len(order):,} images each")]


def pictures(session: Session, model: Generator, count: int, each: float) -> Part:
    """Estimate the time of `count` grids of samples; each: seconds of a sample."""
    n = grid_size(session, model)
    return Part(
        "pictures", count * n * each, f"{count:,} grid{'s' * (count > 1)} of {n} samples, and details"
    )


def details(trial: Session, model: Generator, each: float) -> float:
    """Measure the seconds of the pictures that are drawn once, at the end: trajectories and their animation,
    rebuilt images, interpolations, codes, as far as the model has them. They are written into the folder of
    the trial. each: seconds of a sample, by which trajectories of a slow model are counted, and not drawn.
    """
    parts, trainer = (trial.here.samples, Trackers([]), trial.data, trial.context), trial.parts.trainer
    gallery = Gallery(*parts, samples_per_class=trainer.samples_per_class, animation=trainer.animation)
    drawings, seconds, order = gallery.drawings(model), 0.0, gallery.order
    moving = each * max(ROWS, animated_count(model.shape))
    if Trajectory in drawings and moving > PATIENCE:
        del drawings[Trajectory]
        seconds += moving
    if isinstance(model, Latent):
        few, encode = min(FEW, len(order)), partial(encode_some, trial, model)
        slowness = each_of(encode, few, model, trial.parts.device).seconds
        gallery.order = order[: min(max(int(PATIENCE / slowness), 2), FEW)]  # two have a first component
        seconds += slowness * (min(ENCODED, len(order)) - len(gallery.order))
    with SparedPasses(model.networks(), trial.parts.device, patience=PATIENCE) as spared:
        for draw in drawings.values():
            gallery.show(gallery.drawn(draw, model), 0)
        if isinstance(model, Latent):
            gallery.codes(model, 0)
    return seconds + spared.seconds


@torch.no_grad()
def encode_some(trial: Session, model: Latent, n: int) -> None:
    """Encode the n first test images, and wait for the codes."""
    model.encode(*model_batch(model, trial.data.test, torch.arange(n), trial.parts.device)).cpu()


def counting(trial: Session, trained: Trained, step: float, each: float) -> Part:
    """Estimate the seconds in which a run counts the operations of its training and of two samples, which it
    does once and which takes longer than the same work uncounted. step: seconds of the former; each: of a
    sample, from which those of two follow where the model is slow.
    """
    model, device = trained.ema.model, trial.parts.device
    y, seconds = trial.pair(model)[1], 2 * each
    if seconds < PATIENCE:
        seconds = seconds_of(lambda: sampling_flops(model, y, n=2, device=device))
    note = "operations of a training step and of 2 samples are counted"
    return Part("costs", seconds + (step if model.phases else 0.0), note)


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
def seconds_a_sample(session: Session, model: Generator) -> Each:
    """Measure the seconds of one sample, copied to the host: on a CPU in a batch of at most 32, on a GPU,
    which works on many at once, in a batch of the evaluation's size.
    """
    device, metrics = session.parts.device, session.parts.metrics
    most = FEW if device.type == "cpu" else max(sample_count(metrics, session.data), 1)
    stream, mode = rng.generator(device, session.parts.seed, "estimate"), sampling_mode(model)

    def draw(n: int) -> None:
        y: Y = training_labels(model, session.data, n, stream)
        if model.takes_text:
            y = captions_of(session.data.test, torch.arange(n) % len(session.data.test), device)
        with mode:
            model.sample(n, y, rng=stream).cpu()  # the copy waits for the device

    return each_of(draw, min(most, metrics.batch_size), model, device)


@torch.no_grad()
def likelihood(trial: Session, model: Generator) -> list[Part]:
    """Estimate likelihood and reconstruction on held-out images from at most 32 of them; nothing for a model
    that has neither, or where none are asked for.
    """
    held_out, measured = copy.copy(trial.evaluator.held_out), list[str]()
    whole, seconds, note = held_out.n, 0.0, ""
    most = min(whole, FEW)
    if whole and isinstance(model, Likelihood):
        bits = bits_of(held_out, most, trial, model)
        seconds, note = seconds + bits.seconds * whole, bits.note
        if model.discretized:  # integrated again in finer steps

            def refine(n: int) -> None:
                held_out.n = n
                held_out.refinements(model)

            again = min(whole, SOLVER_ERROR_IMAGES)
            seconds += each_of(refine, most, model, trial.parts.device).seconds * again
        measured.append("bits/dim")
    if whole and isinstance(model, Latent) and not model.inverts:

        def rebuild(n: int) -> None:
            held_out.n = n
            held_out.errors(model)

        seconds += each_of(rebuild, most, model, trial.parts.device).seconds * whole
        measured.append("reconstruction")
    words = f"{' and '.join(measured)} of {whole:,} test images{note}"
    return [Part("likelihood", seconds, words)] * bool(measured)


@torch.no_grad()
def bits_of(held_out: HeldOut, most: int, trial: Session, model: Likelihood) -> Each:
    """Measure the seconds of the likelihood of one image of some that are held out, on at most so many."""
    few = copy.copy(held_out)

    def measure(n: int) -> None:
        few.n = n
        few.nats(model)

    assert isinstance(model, Generator)  # a likelihood is what some of them have
    return each_of(measure, most, model, trial.parts.device)


def evaluation(trial: Session, samples: int) -> list[Part]:
    """Estimate what the scores of so many samples take beside their drawing: a classifier that must be
    trained first, the features of samples and of real images that no cache holds, and the scores themselves.
    """
    data, metrics, device = trial.data, trial.parts.metrics, trial.parts.device
    if not samples or metrics.features is None:
        return []
    try:
        extractor, images, seconds = metrics.pilot(data, device=device)
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
    others = tuple(Reference("train", x.protocol, x.moments, x.features, split) for x in drawn.others)
    real = real._replace(distribution=data.distribution, others=others)
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
