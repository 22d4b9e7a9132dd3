"""Statistics of real images, which samples are compared with; computed once and cached."""

from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from genbench.data import ImageData, KnownDistribution, Split, cache_dir
from genbench.metrics import cache
from genbench.metrics.features.extractor import FeatureExtractor
from genbench.metrics.scores.frechet import Moments
from genbench.runtime.processes import ALONE, Processes
from genbench.runtime.progress import Progress

__all__ = ["RETAINED", "Reference", "reference", "reference_path", "retained", "subset"]

BATCH = 256  # images at a time through the feature network
ROUND = 64  # batches whose features the first process gathers at once, which bounds its memory
RETAINED = 10_000  # images of a set whose features are held in memory
LAYOUT = 2  # raise it when the content of the cache file, or the way from images to features, changes


class Reference(NamedTuple):
    """Statistics of one split of the real images under one feature network: the moments of all of them, the
    features of at most 10,000, and the images themselves for scores on pixels and classes.
    """

    split: str
    protocol: str
    """Of the extractor that gave the features."""
    moments: Moments
    """Of the whole split."""
    features: Tensor
    """(at most 10,000, d) float32, a fixed random subset, for KID and for what counts neighbours."""
    images: Split
    """All images of the split, and their labels."""
    distribution: KnownDistribution | None = None
    """The distribution that the images were sampled from, where it is known."""
    others: tuple["Reference", ...] = ()
    """The same split under other networks, in the order of `FeatureExtractor.others`."""

    @property
    def index(self) -> Tensor:  # type: ignore[override]  # in the place of the method of tuples
        """Numbers of the images of the split that `features` are of, in the order of their rows: (at most
        10,000,) int64. So row i belongs to the label of image index[i].
        """
        return retained(len(self.images), RETAINED).nonzero().flatten()


def reference(
    extractor: FeatureExtractor,
    data: ImageData,
    *,
    split: str = "train",
    device: torch.device,
    progress: Progress,
    processes: Processes = ALONE,
) -> Reference:
    """Compute statistics of a split's images, without augmentation, or read them from the cache.

    processes: those of a run, which all call this at the same point; they share the images, and have the
    numbers that one would have, bit for bit.

    split: "train", the whole training split, whether a part of it is set aside or not; "test"; "validation",
    that part.
    The cache knows the data, the split, the features and their weights, and the versions of torch and
    torchmetrics. Raises ValueError on another split.
    """
    splits = {"train": data.whole_train, "test": data.test}
    if data.validation is not None:
        splits["validation"] = data.validation
    if split not in splits:
        raise ValueError(f"split is {split!r}; choose from {', '.join(splits)}")
    path = reference_path(extractor, data, split)
    stored = cache.cached_together(
        path, lambda: measure(extractor, splits[split], device, progress, processes), processes
    )
    mean, scatter, features = (stored.tensors[name] for name in ("mean", "scatter", "features"))
    # Facts are any JSON value to the type checker, hence the way over a string.
    moments = Moments.given(int(str(stored.facts["n"])), mean, scatter)
    others = tuple(
        reference(other, data, split=split, device=device, progress=progress, processes=processes)
        for other in extractor.others
    )
    return Reference(split, extractor.protocol, moments, features, splits[split], data.distribution, others)


def reference_path(extractor: FeatureExtractor, data: ImageData, split: str) -> Path:
    """Return the cache file of the statistics of a split, "train", "test" or "validation", whether it is
    there or not; its name changes with all that they depend on.
    """
    # All that the statistics depend on, so that another version or other weights never read this file.
    identity = {
        "data": data.training_key if split == "validation" else data.key,
        "split": split,
        "kept": RETAINED,  # under this name in all caches, whose hash another name would change
        "layout": LAYOUT,
        "protocol": extractor.protocol,
        "weights": extractor.weights_sha256,
        "torch": torch.__version__,
        "torchmetrics": version("torchmetrics"),
    }
    return cache_dir() / "reference" / f"{data.name}-{split}-{cache.key(identity)}.safetensors"


def retained(n: int, most: int) -> Tensor:
    """A fixed random choice of at most `most` of n images, the same every time, whatever the seed: (n,) bool.

    Random, since files often lie by class, so that the first ones would be of a few classes alone.
    """
    chosen = torch.zeros(n, dtype=torch.bool)
    chosen[torch.randperm(n, generator=torch.Generator().manual_seed(0))[:most]] = True
    return chosen


def subset(x: Tensor, n: int) -> Tensor:
    """Take a fixed random part of n, or of all where there are fewer, of the rows of x (N, ..): (n, ..). It
    is the same in each run, whatever its seed, since another part of the real images would move the scores.
    """
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:n]]


def measure(
    extractor: FeatureExtractor, images: Split, device: torch.device, progress: Progress, processes: Processes
) -> cache.Stored:
    """Send every image of a split through the feature network once, in batches that the processes share: the
    tensors and facts of the cache file, from which `reference` makes a Reference; nothing but in the first
    process.
    """
    n = len(images)
    chosen = retained(n, RETAINED)
    moments, parts = Moments(extractor.num_features), []
    with progress.bar("features of real images", n) as bar:

        def features_of(index: Tensor) -> Tensor:
            features = extractor(images.gather(index, device)[0]).features.cpu()
            bar.advance(int(index[-1]) + 1)
            return features

        indices = torch.arange(n).split(BATCH)
        for start in range(0, len(indices), ROUND):
            some = indices[start : start + ROUND]
            found, failure = processes.map(features_of, some), None
            try:
                # In the order of the images, whoever computed them, as sums round in their order.
                for index, features in zip(some, found, strict=processes.first):
                    moments.update(features)
                    parts.append(features[chosen[index]])
            except Exception as error:
                failure = error
            # What fails here fails in the first process alone; the others would wait in the next round.
            processes.raise_together(failure)
    if not processes.first:
        return cache.Stored({}, {})
    tensors = {"mean": moments.mean, "scatter": moments.scatter, "features": torch.cat(parts)}
    return cache.Stored(tensors, {"n": n})
