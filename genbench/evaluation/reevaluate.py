"""Measurements outside of a run: of a run's model under other metrics, or of images that any tool made; for
`genbench evaluate`, one line of evaluations.jsonl each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch

from genbench.data import ImageSource, prepare
from genbench.evaluation.evaluator import Evaluator
from genbench.evaluation.given_images import GivenImages
from genbench.evaluation.reference_file import ReferenceFID
from genbench.generator import Generator, Latent, Likelihood
from genbench.metrics import Metrics
from genbench.records.feature_network import to_record as networks_record
from genbench.records.metric_kinds import to_record
from genbench.records.run_directory import Run, version
from genbench.runtime.context import Context
from genbench.training import checkpoint_contents
from genbench.training.checkpoint import CheckpointStore
from genbench.training.step import read_captions

__all__ = ["Origin", "Reevaluation", "check_fits"]


class Origin(NamedTuple):
    """The training that a model came from: the run's identity and the images of its last checkpoint, by which
    reports join later measurements to its result.
    """

    identity: str
    images_seen: int

    @classmethod
    def of(cls, run_dir: Path) -> "Origin":
        """Read the identity of a run and how far its last checkpoint has come.
        Read before the model: of a run that is still training it then says too few images, never too many.
        Raises FileNotFoundError where there is no checkpoint yet, Damaged where none can be used.
        """
        here = Run(run_dir)
        store = CheckpointStore(here.checkpoints)
        record, checkpoint = here.record(), store.load(torch.device("cpu"), checkpoint_contents.origin)
        if record is None or checkpoint is None:
            raise FileNotFoundError(f"{run_dir} holds no trained model: give the directory of a run")
        return cls(record["identity"], checkpoint["images_seen"])


@dataclass(frozen=True)
class Reevaluation:
    """Measures models and images by a data set and metrics, outside of any run.

    Nothing is read before the first measurement. Results are the lines of evaluations.jsonl.
    """

    source: ImageSource
    metrics: Metrics
    context: Context
    evaluators: dict[bool, Evaluator] = field(default_factory=dict)
    """Those that are prepared: captions are read -> the evaluator."""

    @property
    def reference(self) -> ReferenceFID | None:
        """The statistics of others that FID compares with too, where the metrics have been given some."""
        return next((score for score in self.metrics.scores if isinstance(score, ReferenceFID)), None)

    def evaluator(self, *, captions: bool) -> Evaluator:
        """Return the evaluator, with the data prepared when first needed, since images that do not fit are to
        be rejected before minutes of decoding. captions: True where what is measured has or takes texts.
        Raises ValueError, or MissingWeights, before anything is measured.
        """
        if captions in self.evaluators:
            return self.evaluators[captions]
        self.source.check()
        self.metrics.check_source(self.source, "--set ")
        data = prepare(self.source, progress=self.context.progress, captions=captions)
        self.metrics.check_data(data)
        evaluator = Evaluator(data, self.metrics, self.context)
        if self.reference is not None:
            self.reference.check(evaluator.extractor)
        self.evaluators[captions] = evaluator
        return evaluator

    def model(self, model: Generator, of: str, origin: Origin) -> dict[str, Any]:
        """Measure a model, its scores and its likelihood; `of` says which weights it has, "ema", "best"
        or "raw".

        Raises ValueError where its images or classes are not those of the data.
        """
        check_fits(model, self.source)  # before the data are prepared, which may take minutes
        if not self.metrics.scores and not isinstance(model, Likelihood | Latent):
            raise ValueError("this model has no likelihood: choose --metrics standard, or others with scores")
        evaluator = self.evaluator(captions=model.takes_text)
        read_captions(model, evaluator.data)
        quality: dict[str, float] = {}
        if self.metrics.scores:
            held_out = evaluator.score_held_out(labelled=model.num_classes > 0, captioned=model.takes_text)
            quality = evaluator.score_model(model, of).metrics | held_out
        likelihood = evaluator.held_out.likelihood(model)
        return self.record(evaluator, quality, likelihood) | origin._asdict() | {"weights": str(of)}

    def images(self, given: GivenImages) -> dict[str, Any]:
        """Score images that any tool made, and as many held-out images beside them, with labels where the
        given ones have some; returns a line of evaluations.jsonl. Raises ValueError where they are too few,
        or there are no scores to take.
        """
        if not self.metrics.scores:
            raise ValueError("there are no scores to evaluate images by: take --metrics standard")
        n = len(given.images)
        few = "there is 1 image" if n == 1 else f"there are {n} images"
        self.metrics.check_count(n, few, "bring more", "--set ")  # before the data are prepared
        evaluator = self.evaluator(captions=given.captions is not None)
        quality = evaluator.score_given(given)
        captioned = given.captions is not None and evaluator.data.test.captions is not None
        held_out = evaluator.score_held_out(
            labelled=given.labels is not None, captioned=captioned, n=len(given.images)
        )
        return self.record(evaluator, quality | held_out, None)

    def record(
        self, evaluator: Evaluator, quality: Mapping[str, float], likelihood: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Make a line of evaluations.jsonl from scores by their full names and a record of the likelihood,
        None for images without a model; adds version, time, data and seed.
        """
        kinds = to_record(self.metrics.kinds)  # of other packages' scores alone, for the titles in reports
        networks = networks_record(evaluator.networks) if quality else {}
        return {
            "genbench": version("genbench"),
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "data": evaluator.data.name,
            "data_key": evaluator.data.key,
            "seed": self.context.seed,
            "metrics": quality,
            "likelihood": likelihood,
            **({} if self.reference is None else {"reference": self.reference.record}),
            **({"kinds": kinds} if kinds else {}),
            **({"feature_networks": networks} if networks else {}),
        }


def check_fits(model: Generator, source: ImageSource) -> None:
    """Raise ValueError, with both shapes or numbers of classes and the remedy, where a model's images or
    classes are not those of the data, or a model of text would have no captions; an unconditional model fits
    all classes.
    """
    if model.shape != source.shape:
        raise ValueError(
            f"the model draws images of {model.shape}, {source.name} has {source.shape}: "
            "evaluate it on data of its own shape (--data, --set data.size=..)"
        )
    if model.takes_text:
        source.check_captions()
    if model.num_classes not in (0, source.num_classes):
        raise ValueError(
            f"the model is conditional on {model.num_classes} classes, {source.name} has "
            f"{source.num_classes}: evaluate it on data of its own classes"
        )
