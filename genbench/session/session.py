"""One run from its beginning, or its last checkpoint, to its result: data, precision, training, pictures,
evaluation, and the record of how it ended.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from genbench.data import prepare
from genbench.errors import MissingWeights, OutOfMemory, Unmeasured, UsageError
from genbench.evaluation.animation import check_ffmpeg, formats_of
from genbench.evaluation.evaluator import SPLITS, Evaluation, Evaluator, noise_schedule
from genbench.evaluation.gallery import Gallery
from genbench.generator import Generator, Y
from genbench.metrics import NearestImage, reset_peak_memory
from genbench.records.result import Best, Likelihood, Reconstruction, Result
from genbench.records.run_directory import Ending, Run, version
from genbench.records.summary import comparable
from genbench.runtime.context import Context
from genbench.runtime.device import keep_memory, make_repeatable
from genbench.runtime.memory import FREE, memory_for
from genbench.runtime.precision import Choice, FixedPrecision, named
from genbench.runtime.stop import Stopped, listening
from genbench.session.best_weights import BestWeights, best_weights
from genbench.session.chosen_precision import chosen_precision
from genbench.session.first_line import first_lines, first_look, shown
from genbench.session.run_cost import run_cost
from genbench.session.run_parts import Configuration, Parts
from genbench.session.validation import Validator, better_of, target_of
from genbench.tracking import Tracker, Trackers
from genbench.training import checkpoint_contents
from genbench.training.budget import Budget
from genbench.training.checkpoint import CheckpointStore
from genbench.training.fault_messages import evaluation_explained
from genbench.training.flops import training_flops
from genbench.training.loop import Hooks, OnSample, train
from genbench.training.loss_scale import overflow_summary
from genbench.training.recipe_checks import check_memory_of_batch, check_times
from genbench.training.state import Trained
from genbench.training.step import model_batch, read_captions

__all__ = ["Session"]


class Session:
    """Trains, evaluates and records one run, from its beginning or its last checkpoint to its result.

    Every process of a run makes one and calls the same methods; the first alone writes and prints.
    The data are prepared at once. Raises ValueError or OSError where they cannot be read, Damaged where that
    is true of the checkpoints.
    """

    def __init__(self, parts: Parts, here: Run, configuration: Configuration, context: Context) -> None:
        self.parts, self.here, self.configuration, self.context = parts, here, configuration, context
        self.checkpoints = CheckpointStore(here.checkpoints)
        context.processes.check_batch(parts.trainer.batch_size, parts.trainer.accumulate)
        is_sound = checkpoint_contents.resumable(parts.model, parts.optim)
        self.checkpoint = self.checkpoints.load(torch.device("cpu"), is_sound)
        # What can be refused is refused here, before images are decoded and the run leaves a record.
        if parts.trainer.evaluate_every_images is not None:
            parts.metrics.of_size(parts.trainer.evaluate_samples, "trainer.evaluate_samples")
        if self.checkpoint is None:  # else the command of an earlier version's run can still end it
            check_times(parts.recipe, parts.source.counts()["train"])
        check_memory_of_batch(parts.model, parts.trainer, parts.device)
        if "mp4" in formats_of(parts.trainer.animation):
            check_ffmpeg()
        with context.processes.first_ahead():
            self.data = prepare(parts.source, progress=context.progress, captions=parts.model.takes_text)
        parts.metrics.check_data(self.data)
        if self.data.train.captions is not None:  # a model that takes no text reads none
            parts.model.learn_words(self.data.train.captions)
        read_captions(parts.model, self.data)
        if self.checkpoint is not None and self.checkpoint["data_key"] != self.data.training_key:
            raise ValueError(
                f"the images of {self.data.name} are not those that {here.path} was trained on so far: "
                "bring them back, or start afresh by rerun=true"
            )
        self.evaluator = Evaluator(self.data, parts.metrics, context)
        self.validator = None
        if self.data.validation is not None:
            known = (self.data, parts.metrics, parts.trainer, context)
            self.validator = Validator(*known, objective=parts.budget.awaited)

    def run(self) -> Result:
        """Train, evaluate and return the record of the run, which says how it ended whatever happens; close
        the tracker.

        Raises Stopped on request (its cause is what failed before that was done, if anything), Unmeasured
        where the feature weights cannot be had, UsageError where the tracker does not start,
        FloatingPointError where training or sampling diverges, OutOfMemory.
        """
        if self.context.first:
            self.here.begin(
                self.configuration.identity,
                self.configuration.values,
                str(self.parts.device),
                self.parts.seed,
            )
        tracker, error = None, None
        status: Ending = "failed"
        try:
            with self.interruptible():
                self.prepare_device()
            self.introduce()
            if self.context.first:
                self.here.keep_precision(self.precision.name)
            choices = {**self.configuration.choices, "precision": self.precision.name}
            self.configuration = self.configuration._replace(choices=choices)
            tracker = self.open_tracker()
            with self.interruptible():
                result = self.train_and_evaluate(tracker)
            status = "done"
            if not self.configuration.in_sweep:
                self.context.progress.say(first_look(result.cost.images_seen, len(self.data.train)))
            return result
        except (Stopped, KeyboardInterrupt):
            status = "stopped"
            raise Stopped from None
        except MissingWeights as missing:
            status, error = "stopped", str(missing)
            raise Unmeasured(
                "trained, but not evaluated: weights of features are missing. Put them where the message "
                f"says, and repeat this; or: genbench evaluate {shown(self.here.path)} --metrics classifier"
            ) from None
        except BaseException as failure:
            error = f"{type(failure).__name__}: {failure}"
            if self.context.stop.requested:
                raise Stopped from failure
            raise
        finally:
            try:
                if self.context.first:
                    self.here.end(status, error)
            finally:  # also where a full disk refuses the record
                if tracker is not None:
                    tracker.finish(status)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Turn signals into a request to stop, and a lack of memory that nothing within explains into
        OutOfMemory.
        """
        several = self.context.processes.count > 1
        with (
            listening(self.context.stop, patient=several),
            memory_for(f"this run on {self.parts.device}", FREE),
        ):
            yield

    def prepare_device(self) -> None:
        """Choose kernels that repeat themselves and the precision of the networks, and count the peak of
        memory from here on; to be called before anything is computed.
        """
        make_repeatable(self.parts.device)
        keep_memory()
        _ = self.precision  # a measurement of its own, whose memory must not count
        reset_peak_memory(self.parts.device)

    @cached_property
    def chosen(self) -> Choice:
        """Precision of the networks that an earlier session took, else a new choice, and in the first
        process, which chooses for all, the reason. Cached, since a choice may be a measurement.
        """
        reasons = [""]

        def choose() -> str:
            resumes = self.checkpoint is not None
            known = (self.parts, self.here, self.data.train, self.context)
            taken, reasons[0] = chosen_precision(*known, resumes=resumes)
            return taken.name

        return Choice(named(self.context.processes.on_first(choose), self.parts.precision), reasons[0])

    @property
    def precision(self) -> FixedPrecision:
        """Precision of the networks, in all processes the same."""
        return self.chosen.taken

    def introduce(self) -> None:
        """Print what this run is, in the process that prints; the precision is chosen here."""
        known = (self.parts, self.configuration, self.data, self.chosen, self.here.path)
        self.context.progress.say(first_lines(*known, processes=self.context.processes.count))

    def open_tracker(self) -> Tracker:
        """Open the tracker where the checkpoint left it; in processes that are not the first, one that does
        nothing. Raises UsageError where it does not start.
        """
        if not self.context.first:
            return Trackers([])
        try:
            return self.parts.tracking.open(
                self.here.path,
                group=self.configuration.values["name"],
                name=self.here.path.name,
                choices=self.configuration.choices,
                config=self.configuration.settings,
                resume_state=self.checkpoint["tracker"] if self.checkpoint is not None else None,
            )
        except (ValueError, OSError, RuntimeError) as error:
            raise UsageError(str(error)) from error

    def train_and_evaluate(self, tracker: Tracker) -> Result:
        """Train, draw the pictures, evaluate, and write the result, which is returned."""
        parts, say = self.parts, self.context.progress.say
        if self.checkpoint is not None and parts.model.phases:
            say([f"Resuming at {self.checkpoint['images_seen']:,} images."])
        self.evaluator.warn_of_weak_features()
        gallery = Gallery(
            self.here.samples,
            tracker,
            self.data,
            self.context,
            samples_per_class=parts.trainer.samples_per_class,
            animation=parts.trainer.animation,
        )
        gallery.real()
        trained = self.train(tracker, gallery.samples)
        self.context.check_stop()  # the loop ends on request as it does at the end of its budget
        if trained.best is not None and trained.best.ended_early is not None:
            say([f"The training ended early, at {trained.images_seen:,} images: {trained.best.ended_early}."])
        say(trained.skips.summary(trained.images_seen // parts.trainer.batch_size))
        if trained.overflows:
            say([overflow_summary(trained.overflows, trained.images_seen // parts.trainer.batch_size)])
        with evaluation_explained(parts.device):
            grid = gallery.samples(trained.ema.model, trained.images_seen)
            gallery.details(trained.ema.model, trained.images_seen)
            result = self.measure(trained, gallery, grid)
        tracker.summary({**comparable(result), **result.metrics})
        tracker.files({"checkpoint": self.checkpoints.last, "grid": grid})
        if self.context.first:
            self.here.write_result(result)
        return result

    def train(self, tracker: Tracker, on_sample: OnSample) -> Trained:
        """Move the model to the device and train it, from the checkpoint if there is one, until the budget is
        spent or a stop is requested.
        tracker: gets the values; on_sample: draws pictures on the way.
        """
        parts = self.parts
        model = parts.model.to(parts.device).to(memory_format=torch.channels_last)
        self.precision.apply(model.autocast_networks(), parts.device)
        return train(
            model,
            self.data,
            replace(parts.recipe, budget=self.budget(model), loss_scaling=self.precision.loss_scaling),
            Hooks(
                tracker,
                on_sample,
                self.quick_scores,
                self.validator or (lambda model: {}),
                better_of(parts.trainer, parts.metrics),
                target_of(parts),
            ),
            checkpoints=self.checkpoints,
            checkpoint=self.checkpoint,
            context=self.context,
        )

    def quick_scores(self, model: Generator) -> dict[str, float]:
        """Evaluate during training: scores by their names, or none where that failed for lack of memory or
        samples that are not finite, which is printed and does not end the training.
        """
        try:
            return self.evaluator.quick_scores(model, self.parts.trainer.evaluate_samples)
        except (FloatingPointError, OutOfMemory) as error:
            self.context.progress.say([f"quick evaluation skipped: {error}"])
        except Stopped:  # the loop, which was asked too, saves and ends
            pass
        return {}

    def budget(self, model: Generator) -> Budget:
        """Return the budget of the training in images and seconds; a limit in operations is converted by
        counting those of the model's loss, forward and backward, on two images.
        """
        budget = self.parts.budget
        return budget if budget.flops is None else budget.in_images(training_flops(model, *self.pair(model)))

    def measure(self, trained: Trained, gallery: Gallery, grid: Path) -> Result:
        """Evaluate the trained model and make the final record; grid: the path of its samples. Every process
        makes one, the first one's is written.
        """
        started, model = time.monotonic(), trained.ema.model
        best = best_weights(trained, self.checkpoints, self.parts.trainer, self.context)
        # Without scores nothing is drawn.
        quality, drawing = self.quality(trained, best, gallery) if self.parts.metrics.scores else ({}, None)
        held_out = self.evaluator.held_out
        best_likelihood = {} if best is None else held_out.likelihood(best.model)
        return Result(
            genbench=version("genbench"),
            group=self.configuration.values["name"],
            run=self.here.path.name,
            status="done",
            identity=self.configuration.identity,
            data_key=self.data.key,
            choices=self.configuration.choices,
            seed=self.parts.seed,
            config=self.configuration.values,
            metrics=quality,
            likelihood=Likelihood(**held_out.likelihood(model)),
            reconstruction=Reconstruction(**held_out.reconstruction(model)),
            cost=run_cost(
                trained,
                drawing,
                self.pair(trained.model),
                self.parts,
                processes=self.context.processes.count,
                seconds=time.monotonic() - started,
            ),
            samples={"grid": str(grid.relative_to(self.here.path))},
            noise=noise_schedule(model),
            kinds={kind.key: kind for kind in self.parts.metrics.kinds},
            feature_networks=self.evaluator.networks if self.parts.metrics.scores else {},
            best=Best() if best is None else best.record,
            best_likelihood=Likelihood(**best_likelihood),
        )

    def quality(
        self, trained: Trained, best: BestWeights | None, gallery: Gallery
    ) -> tuple[dict[str, float], Evaluation]:
        """Score EMA weights, those of the best validation, raw weights and held-out images, and draw the
        samples nearest to training images; returns all scores by name and the evaluation of the EMA weights.
        """
        evaluator = self.evaluator
        train_set, _ = (evaluator.reference(split) for split in SPLITS)
        self.context.check_stop()
        held_out = evaluator.score_held_out(
            labelled=trained.model.num_classes > 0, captioned=trained.model.takes_text
        )
        ema = evaluator.score_model(trained.ema.model, "ema")
        # What is not trained has one set of weights.
        raw = evaluator.score_model(trained.model, "raw").metrics if trained.model.phases else {}
        if any(isinstance(score, NearestImage) for score in self.parts.metrics.scores):
            gallery.neighbours(ema.drawn, train_set, trained.images_seen)
        chosen = {} if best is None else evaluator.score_model(best.model, "best").metrics
        return ema.metrics | chosen | raw | held_out, ema

    def pair(self, model: Generator) -> tuple[Tensor, Y]:
        """Two training images, twice the same one where there is no other, as the model takes them, on which
        operations are counted.
        """
        index = torch.arange(2) % len(self.data.train)
        return model_batch(model, self.data.train, index, self.parts.device)
