"""One protocol applied to whatever has images: models, held-out images, and images that are given.

Every process of a run calls the same methods: they draw, or gather, batches of images together, the first
process computes the scores, and all of them return the numbers.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import torch

from genbench.data import ImageData
from genbench.evaluation.given_images import GivenImages
from genbench.evaluation.held_out import HeldOut
from genbench.evaluation.samples import Account, Place, Samples, batches, held_out_order, sample_count
from genbench.generator import Generator, Noising
from genbench.metrics import (
    Drawn,
    FeatureExtractor,
    Metrics,
    Reference,
    Taken,
    collect,
    compute,
    reference,
    take,
)
from genbench.metrics.features.accuracy import described
from genbench.metrics.features.layers import FrozenLayers
from genbench.records.feature_network import FeatureNetwork
from genbench.records.metric_name import MetricName
from genbench.runtime import rng
from genbench.runtime.context import Context
from genbench.runtime.energy import known
from genbench.runtime.memory import memory_for, smaller_evaluation

__all__ = ["SPLITS", "Evaluation", "Evaluator", "noise_schedule"]

SPLITS = ("train", "test")


class Evaluation(NamedTuple):
    """Scores of one set of weights, by their full names, and the cost of the samples that they were taken on.
    All fields are the same in every process but `drawn`, which is too large to be sent.
    """

    metrics: dict[str, float]
    """Each score under its full name, which states the protocol."""
    passes_per_sample: float
    seconds_per_image: float
    """Of sampling alone, at the evaluation's batch size."""
    out_of_range: float
    """Share of pixels that rounding to 8 bits had to clamp."""
    drawn: Drawn | None
    """The samples that were measured; in the first process alone."""
    joules_per_sample: float | None = None
    """Energy of sampling alone; None where it is not measured."""


class Evaluator:
    """Measures models and images against a data set, by metrics, from the seed of a context.

    The feature network and the statistics of real images are made when first needed, and then held.
    """

    def __init__(self, data: ImageData, metrics: Metrics, context: Context) -> None:
        self.data, self.metrics, self.context = data, metrics, context
        self.held_out = HeldOut(data, metrics, context)
        """The measurements on held-out images: likelihood and reconstruction."""
        self.references: dict[str, Reference] = {}

    @cached_property
    def networks(self) -> dict[str, FeatureNetwork]:
        """The feature networks as results state them, by the protocol of their features, with their accuracy
        on held-out images; without those that do not say what they are. Of a weak one, the first use warns.
        """
        context, networks = self.context, dict[str, FeatureNetwork]()
        for extractor in (self.extractor, *self.extractor.others):
            with context.processes.first_ahead():
                found = described(extractor, self.data, device=context.device, progress=context.progress)
            if found is None:
                continue
            if found.is_weak and context.first:
                warnings.warn(f"features {extractor.protocol} are unreliable: {found.weakness}", stacklevel=3)
            networks[extractor.protocol] = found
        return networks

    def warn_of_weak_features(self) -> None:
        """Warn, before a model is trained, where its scores would be taken on features of a weak classifier,
        as far as that is known: one that is still to be trained for these data is measured after that.
        """
        features, processes = self.metrics.features, self.context.processes
        if not self.metrics.scores or features is None:
            return
        # The first process looks for all: a file of the cache may appear between two looks.
        if processes.on_first(lambda: features.is_ready(self.data)):
            _ = self.networks

    def warn_of_learned_features(self, model: Generator) -> None:
        """Warn where scores are taken on features that a perceptual loss trained a model to match: they are
        lower than those of a model that never met this network, at equal images.
        """
        own = {part.protocol for part in model.modules() if isinstance(part, FrozenLayers)}
        for extractor in (self.extractor, *self.extractor.others):
            if extractor.protocol in own and self.context.first:
                warnings.warn(
                    f"this model was trained to match features {extractor.protocol} (perceptual=features), "
                    "and its scores are taken on the same: they flatter it beside models without, so compare "
                    "by other features too: metrics=several 'more_features=[classifier]'",
                    stacklevel=3,
                )

    @cached_property
    def extractor(self) -> FeatureExtractor:
        """The feature network, built when first needed; where it has to be trained, the first process does so
        and the others read it from the cache.
        """
        with self.context.processes.first_ahead():
            return self.metrics.extractor(
                self.data, device=self.context.device, progress=self.context.progress
            )

    def reference(self, split: str) -> Reference:
        """Return the statistics of the real images of a split, "train" or "test", in the evaluator's
        features; from the cache where they were taken before.
        """
        if split not in self.references:  # a sweep of samplers needs the training images alone
            extractor, context = self.extractor, self.context
            _ = self.networks  # a weak network warns before the work on its features
            self.references[split] = reference(
                extractor,
                self.data,
                split=split,
                device=context.device,
                progress=context.progress,
                processes=context.processes,
            )
        return self.references[split]

    def score_model(self, model: Generator, of: str, splits: Sequence[str] = SPLITS) -> Evaluation:
        """Draw metrics.samples samples of a model and score them; `of` says which weights it has: "ema",
        "best", "raw".

        splits: of the real images that scores compare with. Draws from its own generators alone.
        Raises Stopped on request, FloatingPointError where samples are not finite, OutOfMemory.
        """
        return self.evaluation(model, of, self.metrics, splits, self.context.seed)

    def quick_scores(self, model: Generator, n: int) -> dict[str, float]:
        """Score n samples of the averaged weights against the training images during training: values by
        their full names, without intervals.

        From a random stream of their own, so that the samples seen in training are not those reported.
        """
        seed = rng.derive(self.context.seed, "glance")  # as streams were named when the first runs were made
        found = self.evaluation(model, "ema", self.metrics.of_size(n), SPLITS[:1], seed)
        return {name: value for name, value in found.metrics.items() if not MetricName.parse(name).spread}

    def score_held_out(
        self, *, labelled: bool = False, captioned: bool = False, n: int | None = None
    ) -> dict[str, float]:
        """Score n held-out images, or as many as samples are drawn, as far as the test split has them: the
        values that a perfect model would get.

        labelled, captioned: whether they come with their labels, or their captions, to be compared with the
        samples of a model of these.
        """
        asked = sample_count(self.metrics if n is None else self.metrics.of_size(n), self.data)
        count = min(asked, len(self.data.test))
        order = held_out_order(self.data, self.context.seed)

        def take_batch(place: Place) -> tuple[Any, ...]:
            start, size = place
            # Read batch by batch by the process that needs them: a whole split may not fit on a device.
            index = order[start : start + size]
            images, y = self.data.test.gather(index, self.context.device)
            labels = index if captioned else y if labelled else None
            return tuple(take(self.extractor, images, labels))

        captions = self.data.test.captions if captioned else None
        return self.score_batches(take_batch, count, "test", SPLITS[:1], captions)

    def score_given(self, given: GivenImages) -> dict[str, float]:
        """Score images that came from elsewhere, all of them, against the training and the test images;
        returns values by their full names. They must be as many as scores need: see `Metrics.check_count`.
        """
        n = len(given.images)
        with self.context.progress.bar("measuring images", n) as bar:

            def take_batch(place: Place) -> tuple[Any, ...]:
                taken = take(self.extractor, *given.part(*place, self.context.device))
                bar.advance(sum(place))
                return tuple(taken)

            return self.score_batches(take_batch, n, "given", SPLITS, given.captions)

    def score_batches(
        self,
        take_batch: Callable[[Place], Sequence[Any]],
        n: int,
        of: str,
        splits: Sequence[str],
        captions: Sequence[str] | None,
    ) -> dict[str, float]:
        """Score n images, which the processes gather together: take_batch(place) gives the fields of a Taken
        for the images start to start + count - 1.
        of: whose they are, in names; splits: of the real images to compare with. captions: those that the
        labels of the images number, None where these are classes.
        """
        # References first, by all processes together: below the first one works alone.
        references, processes = [self.reference(split) for split in splits], self.context.processes
        with rng.fork(self.context.device):
            results = processes.map(take_batch, list(batches(n, self.metrics.batch_size)))
            taken = (Taken(*result) for result in results)
            seed = self.context.seed
            return processes.on_first(lambda: self.scored(taken, n, of, references, seed, captions)[1])

    def evaluation(
        self, model: Generator, of: str, metrics: Metrics, splits: Sequence[str], seed: int
    ) -> Evaluation:
        """Draw samples of a model and score them by some metrics, which may be of another size than the run's
        own; both the samples and the draws of scores follow from `seed`. Raises as `score_model` does.
        """
        self.warn_of_learned_features(model)
        context, n = replace(self.context, seed=seed), sample_count(metrics, self.data)
        data = self.data
        # What chooses among weights compares with validation images, and takes the captions of these.
        if splits == ("validation",) and data.validation is not None:
            data = replace(data, test=data.validation)
        # Before any sample is drawn: where weights of the feature network are missing, nothing was in vain.
        references, drawn = [self.reference(split) for split in splits], list[Drawn]()
        device, bar = context.device, context.progress.bar(f"evaluating {of} weights", n)
        with torch.no_grad(), rng.fork(device), bar as shown:
            samples = Samples(model, data, self.extractor, context, n=n, of=of, bar=shown)
            results = context.processes.map(samples.batch, list(batches(n, metrics.batch_size)))

            def score() -> tuple[Any, ...]:
                captions = data.test.captions if model.takes_text else None
                found, values = self.scored(samples.taken(results), n, of, references, seed, captions)
                drawn.append(found)
                return values, tuple(samples.account)

            # The first process alone has all samples; its numbers are small enough to be sent.
            values, account = context.processes.on_first(score)
        # Sums over the samples become means of one; samples that are not finite have raised above.
        passes, seconds, outside, _, joules = Account(*account)
        pictures = next(iter(drawn), None)
        return Evaluation(values, passes / n, seconds / n, outside / n, pictures, known(joules / n))

    def scored(
        self,
        taken: Iterable[Taken],
        n: int,
        of: str,
        references: Sequence[Reference],
        seed: int,
        captions: Sequence[str] | None,
    ) -> tuple[Drawn, dict[str, float]]:
        """Collect n images and compute their scores, by their full names, in the first process; of: whose
        they are, in names; captions: as for `score_batches`. Scores draw their splits and subsets from a
        stream of `seed`, so that equal images get equal values. Raises OutOfMemory, with a smaller batch as
        the remedy.
        """
        work = f"the scores on {self.context.device} of {n} images ({of})"
        with memory_for(work, smaller_evaluation(self.metrics.batch_size)):
            stream = rng.derive(seed, "scores")
            drawn = collect(taken, n, extractor=self.extractor, of=of, seed=stream, captions=captions)
            return drawn, compute(drawn, self.metrics.scores, references)


def noise_schedule(model: Generator) -> dict[str, list[float]]:
    """List alpha_bar over t, under the keys "t" and "alpha_bar", of a model that denoises; nothing of others.

    Some hundred times in [0, 1], from data to noise, for figures.
    """
    if not isinstance(model, Noising):
        return {}
    t, alpha_bar = model.noise_levels()
    return {"t": t.tolist(), "alpha_bar": alpha_bar.tolist()}
