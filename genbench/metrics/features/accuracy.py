"""The accuracy of a feature network on held-out images, measured once and cached under its checksum."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from genbench.data import ImageData, Split, cache_dir
from genbench.metrics import cache
from genbench.metrics.features.extractor import FeatureExtractor
from genbench.records.feature_network import FeatureNetwork, wilson
from genbench.runtime.progress import Progress

__all__ = ["described"]

BATCH = 256
MOST_TRAINED = 2048  # training images that are looked at; a per cent is told from none by fewer


def described(
    extractor: FeatureExtractor, data: ImageData, *, device: torch.device, progress: Progress
) -> FeatureNetwork | None:
    """State what a feature network on `device` is, and how many of the test images of `data` it finds the
    class of, where these are the images of its own set; None where the network does not say what it is.

    The test split is never trained on. The number is cached under the weights' checksum and the data's key.
    """
    origin = extractor.origin
    is_exact = origin is not None and origin.kind == "exact posterior"
    # Classes of other sets have other meanings, and published networks know none of these.
    if origin is None or data.test.labels is None or not (is_exact or origin.trained_on == data.name):
        return origin
    identity = {"data": data.key, "weights": extractor.weights_sha256, "protocol": extractor.protocol}
    path = cache_dir() / "features" / f"{data.name}-accuracy-{cache.key(identity)}.safetensors"

    def measured() -> cache.Stored:
        with progress.bar(f"accuracy of {extractor.protocol}", len(data.test)) as bar:
            correct = 0
            for found, labels in classes(extractor, data.test, device):
                correct += int((found == labels).sum())
                bar.advance(bar.done + len(labels))
        return cache.Stored({}, {"correct": correct, "n": len(data.test)})

    facts = cache.cached(path, measured).facts
    correct, n = (int(str(facts[name])) for name in ("correct", "n"))
    low, high = wilson(correct, n)
    found = replace(
        origin,
        accuracy=correct / n,
        accuracy_low=low,
        accuracy_high=high,
        held_out=f"{data.name}, test",
        held_out_images=n,
    )
    if found.is_weak and data.whole_train.labels is not None:
        return replace(found, training_accuracy=known_share(extractor, data.whole_train, device))
    return found


def known_share(extractor: FeatureExtractor, split: Split, device: torch.device) -> float:
    """Measure the share of the images of a split whose class a feature network finds, on the first ones of a
    large split.
    """
    correct, n = 0, 0
    for found, labels in classes(extractor, split, device, most=MOST_TRAINED):
        correct, n = correct + int((found == labels).sum()), n + len(labels)
    return correct / n


def classes(
    extractor: FeatureExtractor, split: Split, device: torch.device, *, most: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, batch by batch, the most probable class of each image of a split, and its label: (B,) int64
    each, on the CPU. most: of at most so many images, None for all.
    """
    for index in torch.arange(len(split))[:most].split(BATCH):
        images, labels = split.gather(index, device)
        assert labels is not None  # of a network that knows the classes of these data
        yield extractor(images).logits.argmax(1).cpu(), labels.cpu()
