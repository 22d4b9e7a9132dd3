"""Features of a classifier trained once on the data themselves, for sets that Inception does not fit."""

import time
from pathlib import Path

import torch

from genbench.data import ImageData, ImageSource, cache_dir
from genbench.metrics import cache
from genbench.metrics.features import cnn
from genbench.metrics.features.extractor import FeatureExtractor, FeatureSource, Pilot, fitting
from genbench.runtime.progress import Progress

__all__ = ["ClassifierFeatures"]


TRIAL = 4  # steps of a training for an estimate
MOST_IMAGES = 100_000_000  # of its training: days on a CPU


class ClassifierFeatures(FeatureSource):
    """A small classifier of the data set's own classes, trained once and cached, as a feature network.

    images: how many training images it sees; seed: of its weights and batches. The protocol carries 8 digits
    of the weights' sha256: distances on two trainings never share a column. Raises ValueError on fewer images
    than one batch, and on more than 100,000,000.
    """

    def __init__(self, images: int = 120_000, seed: int = 0) -> None:
        if not cnn.BATCH <= images <= MOST_IMAGES:
            raise ValueError(
                f"features.images is {images}; it must be from {cnn.BATCH} (one batch) to {MOST_IMAGES:,}"
            )
        if seed < 0:
            raise ValueError(f"features.seed is {seed}; it must be 0 or more")
        self.images = images
        self.seed = seed

    def check(self, source: ImageSource | ImageData) -> None:
        """Raise ValueError where there are fewer than two classes to learn, or where the images are smaller
        than the 4 pixels a side that the network needs.
        """
        if source.num_classes < 2:
            classes = "1 class" if source.num_classes == 1 else "no classes"
            own = "add labels (a folder for each class), or " if source.distribution is None else ""
            raise ValueError(
                f"{source.name} has {classes}; a classifier needs 2 or more: {own}use {fitting(source)}"
            )
        if min(source.shape[1:]) < 4:  # two poolings halve the sides, and the third needs a pixel
            raise ValueError(
                f"images of {source.name} are {source.shape}; this classifier needs 4 or more pixels a side"
            )

    def build(self, data: ImageData, *, device: torch.device, progress: Progress) -> FeatureExtractor:
        self.check(data)
        stored = cache.cached(
            self.path(data),
            lambda: cnn.train(data, images=self.images, seed=self.seed, progress=progress),
        )
        # Another training, by another seed or on another kind of CPU, is another protocol.
        protocol = f"{data.name}-cnn-{cache.digest(stored.tensors)[:8]}"
        # What it learned from: all training images, or as many as its budget shows it.
        seen = self.images // cnn.BATCH * cnn.BATCH
        images = min(len(data.whole_train), seen)
        return cnn.CNNExtractor(
            stored, protocol, trained_on=data.name, training_images=images, images_seen=seen
        ).to(device)

    def pilot(self, data: ImageData, *, device: torch.device) -> Pilot:
        """Make the cached network, or else train one for a few steps, which show how long all would take."""
        if self.is_ready(data):
            return Pilot(self.build(data, device=device, progress=Progress(None)))
        self.check(data)
        few, more = (TRIAL * cnn.BATCH * factor for factor in (1, 3))
        times = [time.perf_counter()]
        for images in (few, more):  # the difference is without what is done once
            network = cnn.fit(
                data, images=images, seed=self.seed, progress=Progress(None), scaled_on=cnn.BATCH
            )
            times.append(time.perf_counter())
        each = max(times[2] - times[1] - (times[1] - times[0]), 0.0) / (more - few)
        tensors = {name: value.cpu() for name, value in network.state_dict().items()}
        extractor = cnn.CNNExtractor(cache.Stored(tensors, {}), f"{data.name}-cnn-untrained").to(device)
        scaled = cnn.SCALED_ON / 3  # forward only, a third of the work
        return Pilot(extractor, self.images, each * (self.images + scaled))

    def path(self, data: ImageData) -> Path:
        """Return the cache file of the weights for this data, whether it is there or not; its name changes
        with all that they depend on, so that other data or another recipe train their own.
        """
        recipe = {"data": data.key, "images": self.images, "seed": self.seed, "recipe": cnn.RECIPE}
        return cache_dir() / "features" / f"{data.name}-cnn-{cache.key(recipe)}.safetensors"

    def is_ready(self, data: ImageData) -> bool:
        return self.path(data).is_file()
