"""Anything measured again: a run under other metrics, or images that came from any other tool."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from genbench.data import ImageSource, cache_dir, prepare
from genbench.examine import Examiner
from genbench.fidelity import Fidelity
from genbench.generator import Generator
from genbench.metrics import Metrics
from genbench.progress import Progress
from genbench.run import plain, version
from genbench.stop import StopRequest
from genbench.submission import Submission

__all__ = ["Judge", "keep"]


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

    def model(self, model: Generator, of: str) -> dict[str, Any]:
        """The measurements of a model; `of` says which weights it has, "ema" or "raw"."""
        quality: dict[str, float] = {}
        if self.metrics.scores:
            held_out = self.examiner.held_out(labelled=model.num_classes > 0)
            quality = self.examiner.model(model, of).metrics | held_out
        fidelity = Fidelity(
            self.examiner.data,
            metrics=self.metrics,
            seed=self.seed,
            device=self.device,
            progress=self.progress,
            stop=self.examiner.stop,
        )
        return self.record(quality, fidelity.likelihood(model))

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


def keep(record: Mapping[str, Any], path: Path) -> None:
    """Append a record to a file of JSON lines; what is there stays as it is."""
    with Path(path).open("a") as file:
        file.write(f"{json.dumps(plain(record), allow_nan=False)}\n")
