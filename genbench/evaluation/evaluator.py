"""One protocol applied to whatever has images: models, held-out images, and images that are given."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from genbench.data import ImageData
from genbench.evaluation.given_images import Submission
from genbench.evaluation.held_out import Fidelity
from genbench.evaluation.samples import Evaluation, assist, batches, evaluate, evaluate_held_out, scores_seed
from genbench.generator import Generator, Noising
from genbench.metrics import FeatureExtractor, Metrics, Reference, reference, score_images
from genbench.records.metric_name import MetricName
from genbench.runtime import rng
from genbench.runtime.processes import ALONE, Ranks
from genbench.runtime.progress import Progress
from genbench.runtime.stop import StopRequest

__all__ = ["Examiner", "noise"]

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Examiner:
    """The data, what is measured, and the seed of what is drawn; features are taken when first needed."""

    data: ImageData
    metrics: Metrics
    seed: int
    device: torch.device
    progress: Progress
    stop: StopRequest
    ranks: Ranks = ALONE

    @cached_property
    def extractor(self) -> FeatureExtractor:
        """The feature network."""
        with self.ranks.first_ahead():  # it may have to be trained
            return self.metrics.extractor(self.data, device=self.device, progress=self.progress)

    @cached_property
    def references(self) -> list[Reference]:
        """What it makes of the training and of the test images."""
        return [
            reference(self.extractor, self.data, split=split, device=self.device, progress=self.progress)
            for split in SPLITS
        ]

    def model(self, model: Generator, of: str) -> Evaluation:
        """The scores of a model; `of` says which weights it has, "ema" or "raw"."""
        return self.examined(model, of, self.metrics, self.references, self.seed)

    @cached_property
    def fidelity(self) -> Fidelity:
        """The same for what models make of real images."""
        return Fidelity(
            self.data,
            metrics=self.metrics,
            seed=self.seed,
            device=self.device,
            progress=self.progress,
            stop=self.stop,
            ranks=self.ranks,
        )

    def glance(self, model: Generator, n: int) -> dict[str, float]:
        """The scores of a few samples against the training images, without their spreads.

        From a random stream of their own, so that what is looked at in training is not what is reported.
        """
        found = self.examined(
            model, "ema", self.metrics.of_size(n), self.references[:1], rng.derive(self.seed, "glance")
        )
        names = [name for name in found.metrics if not MetricName.parse(name).spread]
        return {name: found.metrics[name] for name in names}

    def examined(
        self, model: Generator, of: str, metrics: Metrics, references: list[Reference], seed: int
    ) -> Evaluation:
        """A model under some metrics."""
        return evaluate(
            model,
            self.data,
            metrics=metrics,
            extractor=self.extractor,
            references=references,
            of=of,
            seed=seed,
            device=self.device,
            progress=self.progress,
            stop=self.stop,
            ranks=self.ranks,
        )

    def assist(self, model: Generator, of: str) -> None:
        """Draw batches for the first process, which asks for the scores of the same model."""
        self.help(model, of, self.metrics, self.seed)

    def assist_glance(self, model: Generator, n: int) -> None:
        """The same where it glances."""
        self.help(model, "ema", self.metrics.of_size(n), rng.derive(self.seed, "glance"))

    def help(self, model: Generator, of: str, metrics: Metrics, seed: int) -> None:
        """A share of the samples of a model under some metrics."""
        assist(
            model,
            self.data,
            metrics=metrics,
            extractor=self.extractor,
            of=of,
            seed=seed,
            device=self.device,
            stop=self.stop,
            ranks=self.ranks,
        )

    def held_out(self, *, labelled: bool, n: int | None = None) -> dict[str, float]:
        """The scores of n held-out images, or as many as samples are drawn."""
        return evaluate_held_out(
            self.data,
            metrics=self.metrics if n is None else self.metrics.of_size(n),
            extractor=self.extractor,
            references=self.references[:1],
            seed=self.seed,
            device=self.device,
            labelled=labelled,
        )

    def images(self, given: Submission) -> dict[str, float]:
        """The scores of images that came from elsewhere, all of them."""
        n = len(given.images)
        self.metrics.check_count(n, f"there are {n} images", "bring more")

        def stream() -> Iterator[tuple[Tensor, Tensor | None]]:
            with self.progress.bar("measuring images", n) as bar:
                for start, count in batches(n, self.metrics.batch_size):
                    yield given.part(start, count, self.device)
                    bar.advance(start + count)

        with rng.fork(self.device):
            return score_images(
                stream(),
                n,
                scores=self.metrics.scores,
                extractor=self.extractor,
                references=self.references,
                of="given",
                seed=scores_seed(self.seed),
            )


def noise(model: Generator) -> dict[str, list[float]]:
    """alpha_bar over t of a model that goes back from noise; of others nothing."""
    if not isinstance(model, Noising):
        return {}
    t, alpha_bar = model.noise_levels()
    return {"t": t.tolist(), "alpha_bar": alpha_bar.tolist()}
