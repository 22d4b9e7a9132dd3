"""Estimate of what a run would take, from a few steps of its training and a few samples; for dry_run=true,
which neither writes nor evaluates anything.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch

from genbench.evaluation.samples import sample_count, training_labels
from genbench.metrics import parameter_count, peak_memory_bytes
from genbench.records.run_directory import Run
from genbench.records.sweep_ledger import duration
from genbench.runtime import rng
from genbench.session.run_parts import Configuration
from genbench.session.session import Session
from genbench.tracking import Tracker
from genbench.training.budget import Budget
from genbench.training.state import Trained

__all__ = ["Estimate", "estimate"]

WARM, TIMED = 2, 4  # steps: the first ones also make buffers and choose kernels
DRAWN = 32  # samples, at most
WEIGHTS = 2  # sets of them that are evaluated, EMA and raw


class Estimate(NamedTuple):
    """Seconds, memory and parameters that one run is estimated to take, for training and sampling. What its
    features and pictures take is left out, since it depends on caches.
    """

    training_seconds: float
    sampling_seconds: float
    peak_memory_bytes: int
    parameters: int

    @property
    def seconds(self) -> float:
        """Seconds of training and sampling together."""
        return self.training_seconds + self.sampling_seconds

    @property
    def note(self) -> str:
        """The estimate as one line for a table."""
        training, sampling = duration(self.training_seconds), duration(self.sampling_seconds)
        memory = self.peak_memory_bytes / 2**20
        return f"training {training}, sampling {sampling}, {memory:,.0f} MiB, {self.parameters:,} parameters"


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


def estimate(session: Session) -> Estimate:
    """Train a copy of a session's run for a few steps in a temporary folder, which leaves no trace, draw a
    few samples, and extrapolate both to the whole run.
    """
    parts, watch = session.parts, Stopwatch()
    images = (WARM + TIMED) * parts.trainer.batch_size * len(parts.model.phases)
    trainer = replace(parts.trainer, log_every_images=1, sample_every_images=None, evaluate_every_images=None)
    # Every step is logged, so that the stopwatch sees it; pictures and scores are not timed.
    few = replace(parts, trainer=trainer, budget=Budget(images=images) if images else parts.budget)
    with TemporaryDirectory() as folder:
        trial = Session(few, Run(Path(folder)), Configuration("", {}, {}, {}), parts.context())
        trial.prepare_device()  # it also chooses the precision, as the run would
        trained = trial.train(watch, lambda model, images_seen: None)
    # A model without phases is not trained, and has one set of weights.
    training = training_seconds(session.budget(trained.model), watch.rate()) if images else 0.0
    samples = sample_count(parts.metrics, session.data) * (WEIGHTS if images else 1)
    sampling = seconds_a_sample(session, trained) * samples
    return Estimate(
        training_seconds=training,
        sampling_seconds=sampling,
        peak_memory_bytes=peak_memory_bytes(parts.device),
        parameters=parameter_count(trained.model),
    )


def training_seconds(budget: Budget, rate: float) -> float:
    """Convert a budget to seconds, at `rate` images a second: min(seconds, images / rate), of the limits that
    it has.
    """
    limits = (budget.seconds, None if budget.images is None else budget.images / rate)
    return min(limit for limit in limits if limit is not None)


@torch.no_grad()
def seconds_a_sample(session: Session, trained: Trained) -> float:
    """Measure the seconds of one sample, drawn in a batch of at most 32 and copied to the host."""
    device, model = session.parts.device, trained.ema.model.eval()
    n = min(DRAWN, session.parts.metrics.batch_size)
    stream = rng.generator(device, session.parts.seed, "estimate")
    y = training_labels(model, session.data, n, stream)
    started = time.perf_counter()
    model.sample(n, y, rng=stream).cpu()  # the copy waits for the device
    return (time.perf_counter() - started) / n
