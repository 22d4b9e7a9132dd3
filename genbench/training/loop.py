"""The one training loop for all families, and its settings. Read `train` from top to bottom: each paragraph
has a title, and each part of a step stands in one file beside it.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import nn
from torch.optim import Optimizer

from genbench.data import ImageData
from genbench.data.device_images import on_device
from genbench.generator import Generator
from genbench.runtime import global_batch, rng
from genbench.runtime.compile import compiled
from genbench.runtime.context import Context
from genbench.runtime.precision import LossScaling
from genbench.runtime.processes import saved_buffers
from genbench.training.batches import Batches
from genbench.training.budget import Budget, crossed
from genbench.training.checkpoint import CheckpointStore
from genbench.training.checkpoint_writer import CheckpointWriter
from genbench.training.closed_form_fit import FEWEST, fit, fit_images
from genbench.training.cuda_graphs import steps_of
from genbench.training.data_parallel import backward_parts, phase_losses, strides_ignored
from genbench.training.ema import Ema
from genbench.training.fault_messages import training_explained
from genbench.training.hooks import Hooks, OnSample
from genbench.training.log_window import Clock, Window
from genbench.training.loss_scale import loss_scalers
from genbench.training.lr_schedule import LrSchedule
from genbench.training.nonfinite import Guard, mean, values_of
from genbench.training.progress_note import done_of, note_of, total_of, unit_of
from genbench.training.snapshots import Snapshots
from genbench.training.state import Trained
from genbench.training.step import held, others, rates
from genbench.training.validation import Validation

__all__ = ["Hooks", "OnSample", "OptimizerFactory", "Recipe", "Trainer", "train"]

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
MOST_DEVICES = 1024
"""Processes of one machine, which starts them all; torchrun's may be more."""
MOST_COLUMNS = 100
"""Images in a row of a grid, which is drawn at once."""


@dataclass(frozen=True)
class Trainer:
    """The settings of the loop.

    batch_size: images of one update; accumulate: parts it is split into where memory is short; devices:
    processes that share each of them, one a GPU; gradients: in which precision they exchange them. compile:
    the networks, by torch.compile; cuda_graphs: launch each step as recorded graphs (training.cuda_graphs).
    clip_norm: bound on the gradient's norm (None: no bound). skip_grad_norm: norm, before it is clipped, from
    which on a batch makes no update and is counted (None: all do), as in Child 2021 (VDVAE), Section 3.4.
    on_nonfinite: a batch whose loss or gradient is not finite stops the training, or makes no update.
    ema_snapshots: number of those for `genbench ema`. samples_per_class: images in each row of a conditional
    model's grid. animation: format in which samples are shown coming out of noise at the end; None: none is.
    evaluate_samples: of each evaluation on the way: few, and named so, for a curve and for no comparison.
    validate_every_images: between two validations of the averaged weights, on the images of data.validation.
    keep: "best" also saves the weights of the best validation so far; keep_by: what validations are compared
    by, "loss", "bits_per_dim" or the kind of a score. patience: validations without a better one after which
    the training ends (None: never). *_every_images: None is never. Checkpoints go by the clock.
    """

    batch_size: int = 64
    accumulate: int = 1
    devices: int = 1
    compile: bool = False
    cuda_graphs: bool = False
    gradients: Literal["fp32", "bf16"] = "fp32"
    clip_norm: float | None = 1.0
    ema_halflife_images: float = 5000
    ema_rampup: float | None = 0.05
    ema_snapshots: int | None = None
    log_every_images: int = 640
    sample_every_images: int | None = None
    evaluate_every_images: int | None = None
    evaluate_samples: int = 200
    validate_every_images: int | None = None
    keep: Literal["last", "best"] = "last"
    keep_by: str = "loss"
    patience: int | None = None
    samples_per_class: int = 8
    animation: Literal["webp", "gif", "mp4"] | None = "webp"
    checkpoint_every_seconds: float = 60.0
    on_nonfinite: Literal["stop", "skip"] = "stop"
    skip_grad_norm: float | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"trainer.batch_size is {self.batch_size}; it must be at least 1")
        if self.accumulate < 1 or self.batch_size % self.accumulate:
            raise ValueError(
                f"trainer.accumulate={self.accumulate} must be at least 1 and divide "
                f"trainer.batch_size={self.batch_size}"
            )
        part = self.batch_size // self.accumulate
        if not 1 <= self.devices <= MOST_DEVICES or part % self.devices:
            legal = ", ".join(str(n) for n in range(1, min(part, MOST_DEVICES) + 1) if part % n == 0)
            raise ValueError(
                f"trainer.devices is {self.devices}; each takes an equal part of the {part} images of "
                f"trainer.batch_size={self.batch_size}, accumulate={self.accumulate}: choose from {legal}"
            )
        for name in (
            *("clip_norm", "skip_grad_norm", "ema_halflife_images", "ema_rampup", "ema_snapshots"),
            *("log_every_images", "sample_every_images", "evaluate_every_images", "evaluate_samples"),
            *("validate_every_images", "patience", "samples_per_class", "checkpoint_every_seconds"),
        ):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"trainer.{name} is {value}; it must be above 0")
        if self.samples_per_class > MOST_COLUMNS:
            wrong = f"trainer.samples_per_class is {self.samples_per_class}"
            raise ValueError(f"{wrong}; it must be from 1 to {MOST_COLUMNS}, the columns of a picture")


@dataclass(frozen=True)
class Recipe:
    """The choices that make up a training, besides its model and its images: settings of the loop, optimizer,
    schedule of the learning rate, budget, and under float16 the scale of the loss (else None).
    """

    trainer: Trainer
    optim: OptimizerFactory
    lr_schedule: LrSchedule
    budget: Budget
    loss_scaling: LossScaling | None = None


def train(
    model: Generator,
    data: ImageData,
    recipe: Recipe,
    hooks: Hooks,
    *,
    checkpoints: CheckpointStore,
    checkpoint: dict[str, Any] | None,
    context: Context,
) -> Trained:
    """Train a model on data.train until the budget is spent, a validation finds hooks.target reached or a
    stop is requested; returns it with its average and its optimizers.

    checkpoint: the state to resume from, None for a new training; checkpoints: where states are saved.
    Each step draws its randomness from (seed, images seen), so that a resumed training equals an
    uninterrupted one bit for bit (under budget.seconds the clock has a say in the learning rate too).
    Several processes compute what one would, each on its share of every batch; the first keeps time and
    saves.
    What a model leaves to be found after training is fitted to the raw and to the averaged weights in the
    end. Before pictures or scores are made during training it is fitted to the averaged weights, on few
    images, and undone afterwards: a checkpoint of an unfinished training never has it (a variance that is
    fitted is that of variance=posterior there); in `best.pt` the averaged weights have it.
    The images of data.validation are never trained on, nor is anything fitted to them.
    Raises FloatingPointError where a loss or gradient is not finite.
    """
    trainer, budget, tracker = recipe.trainer, recipe.budget, hooks.tracker
    device, processes = context.device, context.processes

    # Model, average and optimizers, new or as the checkpoint has them
    model.train()
    ema = Ema(model, halflife_images=trainer.ema_halflife_images, rampup=trainer.ema_rampup)
    run = Trained(model, ema, {phase: recipe.optim(model.phase_parameters(phase)) for phase in model.phases})
    for optimizer in run.optimizers.values():
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    run.scalers = loss_scalers(recipe.loss_scaling, model, device)
    if trainer.ema_snapshots:
        run.snapshots = Snapshots(model, trainer.ema_snapshots, checkpoints.folder if context.first else None)
    if checkpoint is not None:
        run.load(checkpoint)
    processes.check_batch(trainer.batch_size, trainer.accumulate)
    processes.check_same([run.step, run.images_seen])
    if run.finished:
        return run
    if not model.phases:  # weights from elsewhere: the run is evaluated at once
        run.finished = True
        if context.first:
            checkpoints.save(run.state(tracker, {}, data.training_key))
        return run
    learned = {phase: list(model.phase_parameters(phase)) for phase in model.phases}  # once: it takes long
    elsewhere = {phase: others(learned, phase) for phase in learned}
    parts = processes.parts(trainer.accumulate)
    buffers = saved_buffers(model)
    processes.copy_first([*model.parameters(), *buffers])
    loss_of = phase_losses(model, learned, processes.count, in_bf16=trainer.gradients == "bf16")
    backprop, move = steps_of(model, device, graphs=trainer.cuda_graphs)

    # Batches, values for the log, clock
    train_set, remarks = on_device(data.train, device)
    context.progress.say(remarks)
    train_batches = Batches(model, train_set, trainer.batch_size, context, flip=data.flip)
    window = Window(patience=1 if device.type == "cpu" else 50)  # reading stalls a GPU, not a CPU
    if checkpoint is not None:
        window.load(checkpoint["window"], device)
    clock = Clock(run.seconds, run.images_seen, device, run.joules)
    saved, (stopping,) = time.monotonic(), processes.broadcast_numbers([context.stop.requested])
    writer = CheckpointWriter()

    def save(*, aside: bool) -> None:
        window.check()
        run.joules = clock.joules(processes)
        state = run.state(tracker, window.state(processes), data.training_key)
        written = partial(setattr, run, "saved_images", run.images_seen)
        if context.first:
            writer.write(state, checkpoints.save, written, aside=aside)
        else:
            written()

    def fit_weights(weights: Generator, images: int) -> float:
        seconds = fit(weights, data.train, images, context)
        processes.copy_first(saved_buffers(weights))
        return seconds

    @contextmanager
    def fitted_average() -> Iterator[Generator]:
        with clock.paused():
            fit_weights(ema.model, FEWEST)
            yield ema.model
            ema.copy_buffers()  # a checkpoint before the end has nothing that is fitted

    def save_best() -> None:
        with clock.paused():
            fit_weights(ema.model, fit_images(run.images_seen))
            state = run.state(tracker, window.state(processes), data.training_key)
            if context.first:
                writer.write(state, checkpoints.save_best, lambda: None)
            ema.copy_buffers()

    validation: Validation | None = None
    if data.validation is not None:
        validation = Validation(
            data.validation,
            trainer.validate_every_images,
            trainer.keep_by,
            better=hooks.better,
            patience=trainer.patience,
            on_validate=hooks.on_validate,
            context=context,
        )
    guard = Guard(model, run.skips, nonfinite=trainer.on_nonfinite == "skip", norm=trainer.skip_grad_norm)
    of_batches = (trainer.batch_size, trainer.accumulate, processes.count)
    explained = partial(training_explained, *of_batches, device, run)
    with (
        compiled(model.networks() if trainer.compile else []),
        strides_ignored(),
        explained(),
        train_batches,
        writer,
        context.progress.bar("training", total_of(budget), unit_of(budget)) as bar,
    ):
        bar.begin(done_of(budget, budget.spent(run.images_seen, run.seconds)))
        while not run.finished and not stopping:
            # One step: every phase on its own batch
            before, moved = run.images_seen, False  # moved: at least one phase made an update
            rng.seed_step(context.seed, before)  # so that a resumed training draws the same
            spent = budget.spent(before, run.seconds)
            (share, phases), begun = model.stage(spent)
            model.begin_step(spent)
            of_stage = spent - begun  # the learning rate begins anew with each stage
            images_of_stage = round(before * (of_stage / spent)) if spent else 0
            factor = recipe.lr_schedule.factor(images_of_stage, of_stage / share)
            batches = train_batches.of_step(before, len(phases))
            for phase in phases:
                scaler = run.scalers.get(phase)
                guard.remember()
                with held(elsewhere[phase]):
                    with global_batch.at_work(processes.share):
                        x, y = next(batches)
                        if not global_batch.is_whole() or len(parts) > 1:  # else `loss` does it itself
                            model.prepare(x, y, phase=phase, step=run.step)
                    losses = backward_parts(
                        backprop, loss_of[phase], (x, y), parts, step=run.step, buffers=buffers, scaler=scaler
                    )
                loss = mean([loss.total.detach() for loss in losses])
                processes.average([loss])
                norm = move(
                    run.optimizers[phase], factor, trainer.clip_norm, loss, scaler, trainer.skip_grad_norm
                )
                values = values_of(losses, loss, norm) | ({} if scaler is None else scaler.values())
                run.images_seen += trainer.batch_size
                count = run.images_seen // trainer.batch_size
                if guard.admits(values, phase=phase, step=run.step, batches=count):
                    window.add(phase, run.step, values)
                    moved = True
            seen = run.images_seen - before
            run.images_by_phases[phases] = run.images_by_phases.get(phases, 0) + seen
            processes.copy_first(buffers)  # what a module learned outside the gradient
            if moved:
                ema.update(images=seen, images_seen=run.images_seen)
            run.step += 1
            took = [clock.seconds()]  # where the budget goes by it, one clock decides for all
            (run.seconds,) = processes.broadcast_numbers(took) if budget.seconds is not None else took
            spent = budget.spent(run.images_seen, run.seconds)
            run.finished = spent >= 1

            # Validation: the best weights so far are saved, and patience may end the training
            if validation is not None and validation.is_due(before, run):
                with fitted_average() as average:
                    found = validation.measure(average, phases)
                tracker.log(found | run.times(len(train_set)), images_seen=run.images_seen)
                run.check_target(hooks.target, found, clock.last_pause)
                if validation.enter(found, run, phases) and trainer.keep == "best":
                    save_best()

            # Log, pictures and scores
            if crossed(trainer.log_every_images, before, run.images_seen) or run.finished:
                shown = {
                    **window.flush(processes),
                    **rates(run.optimizers),
                    **run.skipped(guard),
                    "images_per_second": clock.rate(run.images_seen),
                    **run.times(len(train_set)),
                }
                tracker.log(shown, images_seen=run.images_seen)
                validated = "" if validation is None else validation.note(run.best)
                bar.advance(done_of(budget, spent), note_of(shown, phases, validated))
            if crossed(trainer.sample_every_images, before, run.images_seen) and not run.finished:
                with fitted_average() as average:
                    hooks.on_sample(average, run.images_seen)
            if crossed(trainer.evaluate_every_images, before, run.images_seen) and not run.finished:
                with fitted_average() as average:
                    scores = hooks.on_evaluate(average)
                if scores:
                    named = {f"training/{name}": value for name, value in scores.items()}
                    tracker.log(named | run.times(len(train_set)), images_seen=run.images_seen)

            # Snapshot of averages, checkpoint
            run.follow(spent, clock.paused)
            writer.check()
            is_old = time.monotonic() - saved >= trainer.checkpoint_every_seconds
            stopping, due = processes.broadcast_numbers([context.stop.requested, is_old])
            context.stop.signalled = bool(stopping)  # what the first process was asked counts for all
            if due and not run.finished and not stopping:
                with clock.paused():
                    save(aside=True)
                saved = time.monotonic()

    # Fits in closed form, once the weights are trained, and the last checkpoint
    with explained(), clock.paused():
        if run.finished:
            window.check()  # before anything is made of weights that may not be finite
            images = fit_images(run.images_seen)
            run.fitting_seconds = fit_weights(model, images) + fit_weights(ema.model, images)
        save(aside=False)
    return run
