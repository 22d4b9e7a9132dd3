"""Statistics of real images, computed once and kept."""

from importlib.metadata import version
from typing import NamedTuple

import torch
from torch import Tensor

from genbench.data import ImageData, KnownDistribution, Split, cache_dir
from genbench.metrics import cache
from genbench.metrics.features.extractor import FeatureExtractor
from genbench.metrics.scores.frechet import Moments
from genbench.runtime.progress import Progress

__all__ = ["KEPT", "Reference", "kept", "reference"]

BATCH = 256
KEPT = 10_000
LAYOUT = 1  # raise it when what is kept, or how images come to features, changes


class Reference(NamedTuple):
    """What samples are compared with."""

    split: str
    protocol: str
    """Of the extractor that gave the features."""
    moments: Moments
    """Of the whole split."""
    features: Tensor
    """(at most 10,000, d) float32, a fixed random subset, for KID and for what counts neighbours."""
    images: Split
    """All images of the split, and their labels."""
    law: KnownDistribution | None = None
    """The exact law of the images, where it is known."""

    @property
    def index(self) -> Tensor:
        """Which images the features are of: (at most 10,000,) int64."""
        return kept(len(self.images), KEPT).nonzero().flatten()


def reference(
    extractor: FeatureExtractor,
    data: ImageData,
    *,
    split: str = "train",
    device: torch.device,
    progress: Progress,
) -> Reference:
    """Statistics of a split's images, never augmented; from the cache where the same were taken before.

    Raises ValueError on another split than "train" and "test".
    """
    splits = {"train": data.train, "test": data.test}
    if split not in splits:
        raise ValueError(f"split is {split!r}; legal are {', '.join(splits)}")
    identity = {
        "data": data.key,
        "split": split,
        "kept": KEPT,
        "layout": LAYOUT,
        "protocol": extractor.protocol,
        "weights": extractor.weights_sha256,
        "torch": torch.__version__,
        "torchmetrics": version("torchmetrics"),
    }
    path = cache_dir() / "reference" / f"{data.name}-{split}-{cache.key(identity)}.safetensors"
    stored = cache.cached(path, lambda: measure(extractor, splits[split], device, progress))
    features = stored.tensors["features"]
    return Reference(split, extractor.protocol, restored(stored), features, splits[split], data.distribution)


def kept(n: int, most: int) -> Tensor:
    """Which of n images are kept where only `most` can be: (n,) bool, the same random ones every time."""
    chosen = torch.zeros(n, dtype=torch.bool)
    chosen[torch.randperm(n, generator=torch.Generator().manual_seed(0))[:most]] = True
    return chosen


def measure(
    extractor: FeatureExtractor, images: Split, device: torch.device, progress: Progress
) -> cache.Stored:
    """Send every image of a split through the network once."""
    n = len(images)
    chosen = kept(n, KEPT)
    moments, parts = Moments(extractor.num_features), []
    with progress.bar("features of real images", n) as bar:
        for index in torch.arange(n).split(BATCH):
            features = extractor(images.gather(index, device)[0]).features.cpu()
            moments.update(features)
            parts.append(features[chosen[index]])
            bar.advance(moments.n)
    tensors = {"mean": moments.mean, "scatter": moments.scatter, "features": torch.cat(parts)}
    return cache.Stored(tensors, {"n": n})


def restored(stored: cache.Stored) -> Moments:
    """Moments as they were kept."""
    moments = Moments(len(stored.tensors["mean"]))
    moments.n = int(str(stored.facts["n"]))
    moments.mean, moments.scatter = stored.tensors["mean"], stored.tensors["scatter"]
    return moments
