"""Anything measured again: a run under other metrics, or images that came from any other tool."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch

from genbench.data import ImageSource, cache_dir, prepare
from genbench.evaluation.evaluator import Examiner
from genbench.evaluation.given_images import Submission
from genbench.generator import Generator
from genbench.metrics import Metrics
from genbench.records.run_directory import Run, version
from genbench.runtime.progress import Progress
from genbench.runtime.stop import StopRequest
from genbench.training import checkpoint_contents
from genbench.training.checkpoint import CheckpointStore

__all__ = ["Judge", "Origin", "check_fits"]


class Origin(NamedTuple):
    """The training that a model came from, by which reports join what is measured later to its result."""

    identity: str
    images_seen: int

    @classmethod
    def of(cls, run_dir: Path) -> "Origin":
        """Who a run is and how far its last checkpoint has come.

        Read before the model: of a run that goes on meanwhile it then says too few images, never too many.
        Raises FileNotFoundError where there is no checkpoint yet, Damaged where none can be used.
        """
        here = Run(run_dir)
        store = CheckpointStore(here.checkpoints)
        record, checkpoint = here.record(), store.load(torch.device("cpu"), checkpoint_contents.origin)
        if record is None or checkpoint is None:
            raise FileNotFoundError(f"{run_dir} holds no trained model: give the directory of a run")
        return cls(record["identity"], checkpoint["images_seen"])


@dataclass(frozen=True)
class Judge:
    """A protocol that is not yet prepared: where the data come from, what is measured, the seed."""

    source: ImageSource
    metrics: Metrics
    seed: int
    device: torch.device
    progress: Progress

    @cached_property
    def examiner(self) -> Examiner:
        """The protocol at work. Raises ValueError, or MissingWeights, before anything is measured."""
        self.metrics.check_source(self.source)
        data = prepare(self.source, cache=cache_dir(), progress=self.progress)
        self.metrics.check_data(data)
        return Examiner(data, self.metrics, self.seed, self.device, self.progress, StopRequest())

    def model(self, model: Generator, of: str, origin: Origin) -> dict[str, Any]:
        """The measurements of a model; `of` says which weights it has, "ema" or "raw"."""
        check_fits(model, self.source)
        quality: dict[str, float] = {}
        if self.metrics.scores:
            held_out = self.examiner.held_out(labelled=model.num_classes > 0)
            quality = self.examiner.model(model, of).metrics | held_out
        fidelity = self.examiner.fidelity
        return self.record(quality, fidelity.likelihood(model)) | origin._asdict() | {"weights": str(of)}

    def images(self, given: Submission) -> dict[str, Any]:
        """The measurements of images that are given."""
        quality = self.examiner.images(given)
        held_out = self.examiner.held_out(labelled=given.labels is not None, n=len(given.images))
        return self.record(quality | held_out, None)

    def record(self, quality: Mapping[str, float], likelihood: Mapping[str, Any] | None) -> dict[str, Any]:
        """What is kept of an evaluation."""
        return {
            "genbench": version("genbench"),
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "data": self.examiner.data.name,
            "data_key": self.examiner.data.key,
            "seed": self.seed,
            "metrics": quality,
            "likelihood": likelihood,
        }


def check_fits(model: Generator, source: ImageSource) -> None:
    """Raise ValueError where a model's images or classes are not those of the data."""
    if model.shape != source.shape:
        raise ValueError(
            f"the model draws images of {model.shape}, {source.name} has {source.shape}: "
            "measure it against data of its own shape (--data, --set data.size=..)"
        )
    if model.num_classes not in (0, source.num_classes):
        raise ValueError(
            f"the model is conditional on {model.num_classes} classes, {source.name} has "
            f"{source.num_classes}: measure it against data of its own classes"
        )
