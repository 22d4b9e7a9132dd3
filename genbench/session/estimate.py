"""Estimate of what a run would take, from a few steps of all that it does; for dry_run=true, which writes
nothing into the run's directory.
"""

import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch

from genbench.evaluation.samples import sample_count
from genbench.metrics import parameter_count, peak_memory_bytes
from genbench.records.run_directory import Run
from genbench.records.sweep_ledger import duration
from genbench.records.units import device_words, with_unit
from genbench.runtime.device import describe
from genbench.runtime.memory import larger_batch
from genbench.runtime.stop import StopRequest
from genbench.session import estimate_parts
from genbench.session.activation_memory import activation_bytes
from genbench.session.estimate_parts import Part
from genbench.session.run_parts import Configuration, Parts
from genbench.session.session import Session
from genbench.tracking import Tracker
from genbench.training.budget import Budget
from genbench.training.snapshots import snapshot_bytes

__all__ = ["Estimate", "estimate", "shorter"]

WARM, TIMED = 2, 4  # steps: the first ones also make buffers and choose kernels
WEIGHTS = 2  # sets of them that are evaluated, EMA and raw
FILES = 2  # checkpoints that a run retains: the last one and its predecessor
LONG_TRAINING, SHORT_TRAINING = 24 * 3600, 1800  # seconds on a CPU, and those that are proposed instead


class Estimate(NamedTuple):
    """Time, memory and disk that one run is estimated to take."""

    parts: list[Part]
    """Parts of the run in the order in which they are done, each with its estimated seconds."""
    peak_memory_bytes: int
    disk_bytes: int
    """Of checkpoints and pictures in the directory of the run."""
    parameters: int
    device: str
    advice: str
    """On the batch size, where it leaves a GPU nearly empty, or on a shorter budget; else empty."""

    @property
    def seconds(self) -> float:
        """Seconds of all parts together."""
        return sum(part.seconds for part in self.parts)

    @property
    def note(self) -> str:
        """The estimate as one line for a table of jobs, without its total, and parts of under a second."""
        parts = [f"{part.name} {duration(part.seconds)}" for part in self.parts if part.seconds >= 1]
        memory, disk = with_unit(self.peak_memory_bytes, "B"), with_unit(self.disk_bytes, "B")
        return f"{', '.join(parts) or 'under a second each part'}; {memory} of memory, {disk} of disk"

    def lines(self, now: datetime | None = None) -> list[str]:
        """Write the estimate in lines for a terminal: a line for each part, and the total with the time of
        day at which the run would end. now: the time of its start, by default the present.
        """
        start = datetime.now().astimezone() if now is None else now
        end = start + timedelta(seconds=self.seconds)
        clock = f"{end:%H:%M}" if end.date() == start.date() else f"{end:%Y-%m-%d %H:%M}"
        total = Part("total", self.seconds, f"started now, it would end at {clock}")
        rows = [(part.name, duration(part.seconds), part.note) for part in [*self.parts, total]]
        rows.append(("memory", with_unit(self.peak_memory_bytes, "B"), "at most, without evaluation batches"))
        rows.append(("disk", with_unit(self.disk_bytes, "B"), "checkpoints and pictures of the run"))
        head = f"Estimate of this run on {self.device}, from a few steps of each part:"
        return [head, *(f"  {name:<12}{amount:>9}  {note}".rstrip() for name, amount, note in rows)] + [
            self.advice
        ] * bool(self.advice)


class Stopwatch(Tracker):
    """A tracker that notes the time of every line of the log, and nothing else; with a line for each step it
    measures the rate of a training, here and in benchmarks.
    """

    def __init__(self, stop: StopRequest | None = None, enough: float = math.inf) -> None:
        """stop: asked to end the training once it saw `enough` images."""
        self.times: list[tuple[int, float]] = []
        self.stop, self.enough = stop, enough

    def log(self, values: Mapping[str, float], *, images_seen: int) -> None:
        self.times.append((images_seen, time.perf_counter()))
        if self.stop is not None and images_seen >= self.enough:
            self.stop.signalled = True

    def image(self, name: str, path: Path, *, images_seen: int) -> None:
        """Ignore the picture, of which there is none here."""

    def summary(self, values: Mapping[str, float | str | None]) -> None:
        """Ignore the result, of which there is none here."""

    def state(self) -> dict[str, Any]:
        return {}

    def finish(self, status: str) -> None:
        """Close nothing, since nothing is open."""

    def rate(self) -> float:
        """Return images per second, without the first steps, which also make buffers and choose kernels."""
        (images, begun), (seen, ended) = self.times[WARM - 1], self.times[-1]
        return (seen - images) / (ended - begun)


def shorter(training: Part, device: torch.device) -> str:
    """Return a line that proposes a budget in seconds for a training of over a day on a CPU; else "".
    training: with its estimated seconds, and the images that it would see; device: where it runs.
    """
    if device.type != "cpu" or training.seconds <= LONG_TRAINING:
        return ""
    images = SHORT_TRAINING * training.images / training.seconds
    return f"long for this device: budget.seconds={SHORT_TRAINING} takes about {images:,.0f} images"


def shortened(trial: Session, step: float) -> tuple[Parts, Stopwatch]:
    """Return the parts of a run for a training of a few steps, in smaller batches where they would take too
    long, and a stopwatch that sees each of them and ends it. step: seconds of one on two images.

    It ends before its budget does, since what is fitted after a training is measured by itself.
    """
    parts, phases = trial.parts, len(trial.parts.model.phases)
    batch = estimate_parts.trial_batch(parts.trainer, parts.device, step / 2, WARM + TIMED)
    images = (WARM + TIMED) * batch * phases
    # Every step is logged; pictures, scores and validations are not timed.
    trainer = replace(
        parts.trainer,
        batch_size=batch,
        log_every_images=1,
        sample_every_images=None,
        evaluate_every_images=None,
        validate_every_images=None,
    )
    budget = Budget(images=images + 1) if phases else parts.budget
    return replace(parts, trainer=trainer, budget=budget), Stopwatch(trial.context.stop, images)


def larger_by(parts: Parts, trial: Session) -> int:
    """Return the bytes by which a training holds more than a trial of it whose batches are smaller."""
    more = parts.trainer.batch_size - trial.parts.trainer.batch_size
    if more <= 0:
        return 0
    each = activation_bytes(parts.model, *trial.pair(parts.model))
    return round(each * more / (parts.trainer.accumulate * parts.trainer.devices))


def estimate(session: Session) -> Estimate:
    """Train a copy of a session's run for a few steps in a temporary folder, which leaves no trace, draw a
    few samples, measure a few images, and extrapolate all of it to the whole run, or to what is left of it.
    Of a model that is slow here smaller batches, fewer samples and fewer passes are measured, and the lines
    say so.

    Not counted are the start of Python and its libraries, reading the data, checkpoints on the way, and the
    search for the samples nearest to training images.
    """
    parts, device, trained_by = session.parts, session.parts.device, len(session.parts.model.phases)
    found, pictures, advice = list[Part](), 1, ""
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scores on few images
        trial = Session(parts, Run(Path(folder)), Configuration("", {}, {}, {}), parts.context())
        trial.prepare_device()  # it also chooses the precision, as the run would
        step = estimate_parts.step_seconds(trial) if trained_by else 0.0
        trial.parts, watch = shortened(trial, step)
        trained = trial.train(watch, lambda model, images_seen: None)
        trial.context.stop.signalled = False
        saved, memory = trial.checkpoints.last.stat().st_size, peak_memory_bytes(device)
        memory += larger_by(parts, trial)
        model = trained.ema.model.eval()
        fitted = estimate_parts.fitting(trial, model) if trained_by else 0.0
        each = estimate_parts.seconds_a_sample(session, model)
        details = estimate_parts.details(trial, model, each.seconds)
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        advice = larger_batch(memory, total, parts.trainer.batch_size)
    # A model without phases is not trained, and has one set of weights.
    if trained_by:
        training = estimate_parts.training(session, watch.rate(), fitted, trial.parts.trainer.batch_size)
        found.append(training)
        advice = advice or shorter(training, device)
        pictures += round(training.images // (parts.trainer.sample_every_images or math.inf))
        found += estimate_parts.quick_evaluations(session, training.images, each.seconds)
        found += estimate_parts.validations(session, trial, model, training.images, each.seconds)
    has_best = parts.trainer.keep == "best"  # a further set of weights, and a further file
    sets, files = WEIGHTS + has_best if trained_by else 1, FILES + has_best
    n = sample_count(parts.metrics, session.data) * sets
    grids = estimate_parts.pictures(session, model, pictures, each.seconds)
    found.append(grids._replace(seconds=grids.seconds + details))
    found += [Part("sampling", each.seconds * n, f"{n:,} samples, which are scored{each.note}")] * bool(n)
    found += estimate_parts.likelihood(trial, model) + estimate_parts.evaluation(trial, n)
    found.append(estimate_parts.counting(trial, trained, step, each.seconds))
    return Estimate(
        parts=found,
        peak_memory_bytes=max(memory, peak_memory_bytes(device)),
        disk_bytes=files * saved
        + (parts.trainer.ema_snapshots or 0) * snapshot_bytes(model)
        + pictures * estimate_parts.picture_bytes(session, model),
        parameters=parameter_count(trained.model),
        device=device_words(describe(device)),
        advice=advice,
    )
