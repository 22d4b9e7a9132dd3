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
from genbench.session import estimate_parts
from genbench.session.estimate_parts import Part
from genbench.session.run_parts import Configuration
from genbench.session.session import Session
from genbench.tracking import Tracker
from genbench.training.budget import Budget

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

    def __init__(self) -> None:
        self.times: list[tuple[int, float]] = []

    def log(self, values: Mapping[str, float], *, images_seen: int) -> None:
        self.times.append((images_seen, time.perf_counter()))

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


def estimate(session: Session) -> Estimate:
    """Train a copy of a session's run for a few steps in a temporary folder, which leaves no trace, draw a
    few samples, measure a few images, and extrapolate all of it to the whole run, or to what is left of it.

    Not counted are the start of Python and its libraries, reading the data, checkpoints on the way, and the
    search for the samples nearest to training images.
    """
    parts, watch, device = session.parts, Stopwatch(), session.parts.device
    images = (WARM + TIMED) * parts.trainer.batch_size * len(parts.model.phases)
    # Every step is logged, so that the stopwatch sees it; pictures, scores and validations are not timed.
    trainer = replace(
        parts.trainer,
        log_every_images=1,
        sample_every_images=None,
        evaluate_every_images=None,
        validate_every_images=None,
    )
    few = replace(parts, trainer=trainer, budget=Budget(images=images) if images else parts.budget)
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scores on few images
        trial = Session(few, Run(Path(folder)), Configuration("", {}, {}, {}), parts.context())
        trial.prepare_device()  # it also chooses the precision, as the run would
        trained = trial.train(watch, lambda model, images_seen: None)
        saved = trial.checkpoints.last.stat().st_size
        model = trained.ema.model.eval()
        details = estimate_parts.details(trial, model)
    advice = ""
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        advice = larger_batch(peak_memory_bytes(device), total, parts.trainer.batch_size)
    # A model without phases is not trained, and has one set of weights.
    found, pictures = list[Part](), 1
    each = estimate_parts.seconds_a_sample(session, model)
    if images:
        training = estimate_parts.training(session, trained, watch.rate())
        found.append(training)
        advice = advice or shorter(training, device)
        pictures += round(training.images // (parts.trainer.sample_every_images or math.inf))
        found += estimate_parts.quick_evaluations(session, training.images, each)
        found += estimate_parts.validations(session, trial, model, training.images)
    has_best = parts.trainer.keep == "best"  # a further set of weights, and a further file
    sets, files = WEIGHTS + has_best if images else 1, FILES + has_best
    n = sample_count(parts.metrics, session.data) * sets
    grids = estimate_parts.pictures(session, model, pictures, each)
    found.append(grids._replace(seconds=grids.seconds + details))
    found += [Part("sampling", each * n, f"{n:,} samples, which are scored")] * bool(n)
    found += estimate_parts.likelihood(trial, model) + estimate_parts.evaluation(trial, n)
    found.append(estimate_parts.counting(trial, trained))
    return Estimate(
        parts=found,
        peak_memory_bytes=peak_memory_bytes(device),
        disk_bytes=files * saved + pictures * estimate_parts.picture_bytes(session, model),
        parameters=parameter_count(trained.model),
        device=device_words(describe(device)),
        advice=advice,
    )
