"""One stay with a run: from its beginning, or its last checkpoint, to its result."""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from genbench.data import cache_dir, prepare, to_float
from genbench.errors import OutOfMemory, Unmeasured, UsageError
from genbench.evaluation.evaluator import Examiner, noise
from genbench.evaluation.gallery import Gallery
from genbench.evaluation.samples import Evaluation
from genbench.generator import Generator
from genbench.metrics import (
    MissingWeights,
    NearestImage,
    parameter_count,
    peak_memory_bytes,
    reset_peak_memory,
)
from genbench.records.result import Cost, Likelihood, Reconstruction, Result
from genbench.records.run_directory import Run, version
from genbench.records.summary import comparable
from genbench.runtime.device import describe, keep_memory, make_repeatable
from genbench.runtime.memory import FREE, memory_for
from genbench.runtime.precision import FIXED, Choice, FixedPrecision, recorded_precision
from genbench.runtime.processes import ALONE, Ranks
from genbench.runtime.progress import Progress
from genbench.runtime.stop import Stopped, StopRequest, listening
from genbench.session.parts import Parts
from genbench.session.step_rate import step_rates
from genbench.tracking import Tracker, Trackers
from genbench.training import checkpoint_contents
from genbench.training.budget import Budget
from genbench.training.checkpoint import CheckpointStore
from genbench.training.faults import evaluation_explained
from genbench.training.flops import sampling_flops, spent_flops, training_flops
from genbench.training.loop import OnSample, Trained, train

__all__ = ["Session"]


class Session:
    """Trains, evaluates and records one run.

    identity, config, choices: who the run is, its resolved configuration, the option chosen in each group.
    The data are prepared at once. Raises ValueError or OSError where they cannot be read, Damaged where that
    is true of the checkpoints.
    """

    def __init__(
        self,
        parts: Parts,
        here: Run,
        identity: str,
        config: Mapping[str, Any],
        choices: Mapping[str, str],
        console: Console,
        ranks: Ranks = ALONE,
        stop: StopRequest | None = None,
    ) -> None:
        self.stop = stop or StopRequest()
        self.parts, self.here, self.console, self.ranks = parts, here, console, ranks
        self.identity, self.config, self.choices = identity, config, choices
        self.checkpoints = CheckpointStore(here.checkpoints)
        self.progress = Progress(console if ranks.first else None)
        ranks.check_batch(parts.trainer.batch_size, parts.trainer.accumulate)
        sound = checkpoint_contents.resumable(parts.model, parts.optim)
        self.checkpoint = self.checkpoints.load(torch.device("cpu"), sound)
        with ranks.first_ahead():
            self.data = prepare(parts.source, cache=cache_dir(), progress=self.progress)
        parts.metrics.check_data(self.data)
        if parts.trainer.evaluate_every_images is not None:
            parts.metrics.of_size(parts.trainer.evaluate_samples)
        if self.checkpoint is not None and self.checkpoint["data_key"] != self.data.key:
            raise ValueError(
                f"the images of {self.data.name} are not those that {here.path} was trained on so far: "
                "bring them back, or start afresh by rerun=true"
            )

    def run(self) -> Result:
        """Do the work and return its record, which says how it ended whatever happens; close the tracker.

        Raises Stopped on request (its cause is what failed before that was done, if anything), Unmeasured
        where the feature weights cannot be had, UsageError where the tracker does not start,
        FloatingPointError where training or sampling diverges, OutOfMemory.
        """
        self.here.begin(self.identity, self.config, str(self.parts.device), self.parts.seed)
        tracker, status, error = None, "failed", None
        try:
            with listening(self.stop, patient=self.ranks.count > 1), self.memory():
                self.prepare_device()
            self.here.keep_precision(self.precision.name)
            self.choices = {**self.choices, "precision": self.precision.name}
            tracker = self.open_tracker()
            with listening(self.stop, patient=self.ranks.count > 1), self.memory():
                result = self.train_and_evaluate(tracker)
            status = "done"
            return result
        except (Stopped, KeyboardInterrupt):
            status = "stopped"
            raise Stopped from None
        except MissingWeights as missing:
            status, error = "stopped", str(missing)
            raise Unmeasured(
                f"trained and saved, but not evaluated. {missing}; then repeat the command"
            ) from None
        except BaseException as failure:
            error = f"{type(failure).__name__}: {failure}"
            if self.stop.requested:
                raise Stopped from failure
            raise
        finally:
            try:
                self.here.end(status, error)
            finally:  # also where a full disk refuses the record
                if tracker is not None:
                    tracker.finish(status)

    def assist(self) -> None:
        """A share of all the work, in a process that is not the first, which alone writes and prints."""
        with listening(self.stop, patient=self.ranks.count > 1), self.memory():
            self.prepare_device()
            gallery = self.gallery(Trackers([]))
            trained = self.train(Trackers([]), gallery.samples)
            self.stop.check()
            gallery.samples(trained.ema.model, trained.images_seen)
            if self.parts.metrics.scores:
                self.examiner.assist(trained.ema.model, "ema")
                self.examiner.assist(trained.model, "raw")
            self.examiner.fidelity.assist(trained.ema.model)

    def memory(self) -> AbstractContextManager[None]:
        """Turn a lack of memory that nothing within explains into OutOfMemory."""
        return memory_for(f"this run on {self.parts.device}", FREE)

    def prepare_device(self) -> None:
        """Kernels that repeat themselves, the precision to compute in, and a fresh account of memory."""
        make_repeatable(self.parts.device)
        keep_memory()
        _ = self.precision
        reset_peak_memory(self.parts.device)

    @cached_property
    def precision(self) -> FixedPrecision:
        """Precision of the networks, chosen by the first process for all."""
        taken, names = FIXED["fp32"], list(FIXED)
        if self.ranks.first:
            taken, reason = self.precision_choice()
            if reason:
                self.console.print(f"Networks compute in {taken.name}: {reason}.", highlight=False)
        (number,) = self.ranks.agree([names.index(taken.name)])
        return FIXED[names[round(number)]]

    def precision_choice(self) -> Choice:
        """Return the precision that an earlier session of this run took, else choose one."""
        parts, record = self.parts, self.here.record() or {}
        if not parts.model.autocast_networks():
            return Choice(FIXED["fp32"], "in bf16 this model would lose its inverse")
        if record.get("precision") or self.checkpoint is not None:
            taken = recorded_precision(record, parts.precision, parts.device)
            moved = record.get("precision") not in (None, taken.name)
            return Choice(taken, "this device has no bf16 units, on which it began" if moved else "")
        return parts.precision.choose(
            parts.device, lambda: step_rates(parts, self.data.train, processes=self.ranks.count)
        )

    def open_tracker(self) -> Tracker:
        """The tracker, where the checkpoint left it."""
        try:
            return self.parts.tracking.open(
                self.here.path,
                group=self.config["name"],
                name=self.here.path.name,
                choices=self.choices,
                config=self.config,
                resume_state=self.checkpoint["tracker"] if self.checkpoint is not None else None,
            )
        except (ValueError, OSError, RuntimeError) as error:
            raise UsageError(str(error)) from error

    def train_and_evaluate(self, tracker: Tracker) -> Result:
        """Train, draw the pictures, evaluate, and write the result, which is returned."""
        if self.checkpoint is not None:
            self.console.print(f"Going on from {self.checkpoint['images_seen']:,} images.", highlight=False)
        gallery = self.gallery(tracker)
        trained = self.train(tracker, gallery.samples)
        self.stop.check()
        if trained.skips.total:
            self.console.print(trained.skips.summary(trained.images_seen // self.parts.trainer.batch_size))
        with evaluation_explained(self.parts.device):
            grid = gallery.samples(trained.ema.model, trained.images_seen)
            gallery.processes(trained.ema.model, trained.images_seen)
            gallery.codes(trained.ema.model, trained.images_seen)
            result = self.measure(trained, gallery, grid)
        tracker.summary({**comparable(result), **result.metrics})
        self.here.write_result(result)
        return result

    def gallery(self, tracker: Tracker) -> Gallery:
        """Where the pictures go; the real images are there from the start."""
        parts = self.parts
        gallery = Gallery(
            self.here.samples,
            tracker,
            self.data,
            seed=parts.seed,
            device=parts.device,
            samples_per_class=parts.trainer.samples_per_class,
            ranks=self.ranks,
        )
        if self.ranks.first:
            gallery.real()
        return gallery

    def train(self, tracker: Tracker, on_sample: OnSample) -> Trained:
        """The model, trained until the budget is spent or a stop is requested."""
        parts = self.parts
        model = parts.model.to(parts.device, memory_format=torch.channels_last)
        self.precision.apply(model.autocast_networks(), parts.device)
        return train(
            model,
            self.data.train,
            trainer=parts.trainer,
            optim=parts.optim,
            lr_schedule=parts.lr_schedule,
            budget=self.budget(model),
            flip=self.data.flip,
            seed=parts.seed,
            device=parts.device,
            checkpoints=self.checkpoints,
            checkpoint=self.checkpoint,
            data_key=self.data.key,
            tracker=tracker,
            progress=self.progress,
            stop=self.stop,
            on_sample=on_sample,
            on_evaluate=self.glance,
            ranks=self.ranks,
        )

    def glance(self, model: Generator) -> dict[str, float]:
        """Scores on the way; a look that fails costs the training nothing but the look."""
        try:
            if not self.ranks.first:
                self.examiner.assist_glance(model, self.parts.trainer.evaluate_samples)
                return {}
            return self.examiner.glance(model, self.parts.trainer.evaluate_samples)
        except (FloatingPointError, OutOfMemory) as error:
            self.console.print(f"not evaluated on the way: {error}", markup=False, highlight=False)
        except Stopped:  # the loop, which was asked too, saves and ends
            pass
        return {}

    def budget(self, model: Generator) -> Budget:
        """What may be spent, in images and seconds."""
        budget = self.parts.budget
        return budget if budget.flops is None else budget.in_images(self.flops_per_image(model))

    @cached_property
    def examiner(self) -> Examiner:
        """What measures this run."""
        parts = self.parts
        return Examiner(
            self.data, parts.metrics, parts.seed, parts.device, self.progress, self.stop, self.ranks
        )

    def measure(self, trained: Trained, gallery: Gallery, grid: Path) -> Result:
        """The final record."""
        started, model = time.monotonic(), trained.ema.model
        # Without scores nothing is drawn.
        quality, drawing = self.quality(trained, gallery) if self.parts.metrics.scores else ({}, None)
        fidelity = self.examiner.fidelity
        return Result(
            genbench=version("genbench"),
            group=self.config["name"],
            run=self.here.path.name,
            status="done",
            identity=self.identity,
            data_key=self.data.key,
            choices=self.choices,
            seed=self.parts.seed,
            config=self.config,
            metrics=quality,
            likelihood=Likelihood(**fidelity.likelihood(model)),
            reconstruction=Reconstruction(**fidelity.reconstruction(model)),
            cost=self.cost(trained, drawing, time.monotonic() - started),
            samples={"grid": str(grid.relative_to(self.here.path))},
            noise=noise(model),
            kinds={kind.key: kind for kind in self.parts.metrics.kinds},
        )

    def quality(self, trained: Trained, gallery: Gallery) -> tuple[dict[str, float], Evaluation]:
        """The scores of EMA weights, raw weights and held-out images, and what the EMA weights' came to."""
        examiner = self.examiner
        _ = examiner.extractor  # together with the other processes, which then begin to draw
        train_set, _ = examiner.references
        self.stop.check()
        held_out = examiner.held_out(labelled=trained.model.num_classes > 0)
        ema, raw = examiner.model(trained.ema.model, "ema"), examiner.model(trained.model, "raw")
        if any(isinstance(score, NearestImage) for score in examiner.metrics.scores):
            gallery.neighbours(ema.drawn, train_set, trained.images_seen)
        return ema.metrics | raw.metrics | held_out, ema

    def cost(self, trained: Trained, drawing: Evaluation | None, seconds: float) -> Cost:
        """What the run spent; sampling, if any, as the EMA weights' evaluation found it."""
        return Cost(
            device=describe(self.parts.device, self.ranks.count),
            parameters=parameter_count(trained.model),
            images_seen=trained.images_seen,
            skipped_batches=trained.skips.total or None,
            **self.flops(trained),
            training_seconds=trained.seconds,
            fitting_seconds=trained.fitting_seconds,
            images_per_second=trained.images_seen / trained.seconds,
            passes_per_sample=drawing and drawing.passes_per_sample,
            seconds_per_image=drawing and drawing.seconds_per_image,
            sampling_batch=drawing and self.parts.metrics.batch_size,
            out_of_range=drawing and drawing.out_of_range,
            evaluation_seconds=seconds,
            peak_memory_bytes=peak_memory_bytes(self.parts.device),
        )

    def flops(self, trained: Trained) -> dict[str, float]:
        """Operations of the whole training and of one sample."""
        model, (x, y) = trained.ema.model, self.pair(trained.model)
        return {
            "training_flops": spent_flops(
                trained.model, x, y, images=trained.images_by_phases, images_seen=trained.images_seen
            ),
            "flops_per_sample": sampling_flops(model, y, n=2, device=self.parts.device),
        }

    def flops_per_image(self, model: Generator) -> float:
        """Operations of the training for each image that it sees."""
        return training_flops(model, *self.pair(model))

    def pair(self, model: Generator) -> tuple[Tensor, Tensor | None]:
        """Two training images, with labels for a conditional model."""
        images, y = self.data.train.gather(torch.arange(2), self.parts.device)
        return to_float(images), y if model.num_classes else None
