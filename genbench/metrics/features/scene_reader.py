"""The shipped readers of captioned scenes: classifiers of what stands at a place (nothing, or an item in one
of two sizes) and their features of whole scenes.
"""

from dataclasses import replace

import torch
from torch import Tensor

from genbench.data.scenes import Scene, Thing
from genbench.metrics.cache import load
from genbench.metrics.features.cnn import CNNExtractor
from genbench.metrics.features.extractor import FeatureExtractor, Features
from genbench.metrics.features.shipped import ShippedFeatures
from genbench.records.feature_network import wilson

__all__ = [
    "READERS",
    "CaptionedFashionMnistFeatures",
    "CaptionedFeatures",
    "ReaderFeatures",
    "places",
    "read_scenes",
    "scene_classes",
]

BATCH = 1024  # places at a time


def places(images: Tensor) -> Tensor:
    """Cut scenes (B, C, H, W) into their four places, row by row: (4 B, C, H/2, W/2)."""
    return torch.stack([x for row in images.chunk(2, 2) for x in row.chunk(2, 3)], dim=1).flatten(0, 1)


def scene_classes(scene: Scene) -> list[int]:
    """Number what stands at each place of a scene: 0 for nothing, 1 + 2 item + size for an object."""
    return [0 if thing is None else 1 + 2 * thing.item + thing.size for thing in scene]


def read_scenes(reader: FeatureExtractor, images: Tensor) -> list[Scene]:
    """Read scenes (N, 1, 32, 32) uint8 by a classifier of places: the most probable class at each."""
    found = [reader(part).logits.argmax(1) for part in places(images).split(BATCH)]
    classes = torch.cat(found).view(-1, 4).tolist()
    return [tuple(Thing(*divmod(each - 1, 2)) if each else None for each in four) for four in classes]


class ScenesExtractor(FeatureExtractor):
    """The features of the four places of a scene, one after the other: (B, 4 d); no logits, since a scene has
    no class.
    """

    def __init__(self, reader: CNNExtractor) -> None:
        super().__init__(reader.protocol, reader.weights_sha256, 4 * reader.num_features, reader.origin)
        self.reader = reader
        self.eval()

    def extract(self, images: Tensor) -> Features:
        features = self.reader.extract(places(images)).features
        return Features(features.view(len(images), -1), features.new_zeros(len(images), 0))


class ReaderFeatures(ShippedFeatures):
    """The penultimate layer of a classifier of places, 64 features of each of the four: 256 of a scene."""

    shape = (1, 32, 32)
    training_images = 20_000
    right: int
    """Of the 8,000 places of the 2,000 test scenes, those of which it finds the class."""

    def reader(self) -> CNNExtractor:
        """Load the classifier of single places on the CPU: (B, 1, 16, 16) uint8 -> logits of 21 classes.

        Raises ValueError where the shipped weights are missing or damaged.
        """
        self.check_file()
        found = CNNExtractor(
            load(self.path), self.protocol, trained_on=self.option, training_images=self.training_images
        )
        low, high = wilson(self.right, 8000)
        assert found.origin is not None
        found.origin = replace(
            found.origin,
            accuracy=self.right / 8000,
            accuracy_low=low,
            accuracy_high=high,
            held_out=f"{self.option}, test, single places",
            held_out_images=8000,
        )
        return found

    def network(self) -> FeatureExtractor:
        return ScenesExtractor(self.reader())


class CaptionedFeatures(ReaderFeatures):
    """256 features of scenes of digits, by a classifier that is right on 99.66 % of the 8,000 places of the
    test scenes, and on all four places of 98.65 % of the scenes.

    `python -m genbench.metrics.features.scene_cnn --out FILE` trains it again.
    """

    protocol = "captioned-cnn-v1"
    option = "captioned"
    right = 7973
    sha256 = "0d1972492aac8e274743063ce1cd9a50357683f2d78b3af7327cbdf2cabfa9b7"


class CaptionedFashionMnistFeatures(ReaderFeatures):
    """256 features of scenes of Fashion-MNIST, by a classifier that is right on 89.48 % of the 8,000 places
    of the test scenes, and on all four places of 63.15 % of the scenes: small clothes are hard to tell apart.

    `python -m genbench.metrics.features.scene_cnn --items fashion_mnist --out FILE` trains it again.
    """

    protocol = "captioned-fashion-mnist-cnn-v1"
    option = "captioned_fashion_mnist"
    right = 7158
    sha256 = "6da75ab7beb6f96ec285f0173b231235979be2dda5d9dab14f08e17a7215e8db"


READERS: dict[str, ReaderFeatures] = {
    "digits": CaptionedFeatures(),
    "fashion_mnist": CaptionedFashionMnistFeatures(),
}
"""By the items that they know."""
