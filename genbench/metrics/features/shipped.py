"""Classifiers whose weights come with the package, so that distances compare across machines."""

from pathlib import Path

import torch

from genbench.data import ImageData, ImageSource
from genbench.data.source import file_digest
from genbench.metrics.cache import load
from genbench.metrics.features.cnn import CNNExtractor
from genbench.metrics.features.extractor import FeatureExtractor, FeatureSource, fitting
from genbench.runtime.progress import Progress

__all__ = ["DigitsFeatures", "FashionMnistFeatures", "ShippedFeatures"]


class ShippedFeatures(FeatureSource):
    """The penultimate layer of a classifier that was trained once, for everybody.

    Each kind states its record below; the file is read as safetensors alone, after its sha256 is checked.
    """

    protocol: str
    """First entry in a metric's brackets, and name of the weights file."""
    option: str
    """Its name in `features=`."""
    training_images: int
    """Of the training split of the set that `option` names."""
    shape: tuple[int, int, int]
    """(C, H, W) of the images that it takes."""
    sha256: str
    """Of the file."""

    @property
    def path(self) -> Path:
        """The safetensors file of the weights, which is installed beside this module under the protocol's
        name, with _ for -; it may be missing in a broken installation.
        """
        return Path(__file__).with_name(f"{self.protocol.replace('-', '_')}.safetensors")

    def check(self, source: ImageSource | ImageData) -> None:
        """Raise ValueError on images of another shape (C, H, W) than the network was trained on, and where
        the shipped weights are missing or damaged, by their sha256.
        """
        if source.shape != self.shape:
            raise ValueError(
                f"images of {source.name} are {source.shape}; features={self.option} is for images of "
                f"{self.shape}: use {fitting(source)}"
            )
        self.check_file()

    def check_file(self) -> None:
        """Raise ValueError where the shipped weights are missing or damaged, by their sha256."""
        if not self.path.is_file() or file_digest(self.path) != self.sha256:
            raise ValueError(
                f"{self.path} is missing or damaged (its sha256 is not {self.sha256}); reinstall genbench"
            )

    def build(self, data: ImageData, *, device: torch.device, progress: Progress) -> FeatureExtractor:
        self.check(data)
        return self.network().to(device)

    def network(self) -> FeatureExtractor:
        """Build the network on the CPU, of the file that `check_file` has checked."""
        return CNNExtractor(
            load(self.path), self.protocol, trained_on=self.option, training_images=self.training_images
        )


class DigitsFeatures(ShippedFeatures):
    """64 features of the 8x8 digits, by a classifier that is right on 99.4 % of the 359 test images.

    `python -m genbench.metrics.features.digits_cnn --out FILE` trains it again.
    """

    protocol = "digits-cnn-v1"
    option = "digits"
    training_images = 1438
    shape = (1, 8, 8)
    sha256 = "b86c78519b8e8c5ec8f8a0e22f8379736ceb445107f134042332714e12b925d0"


class FashionMnistFeatures(ShippedFeatures):
    """64 features of Fashion-MNIST, by a classifier that is right on 93.13 % of the 10,000 test images.

    `python -m genbench.metrics.features.fashion_mnist_cnn --out FILE` trains it again.
    """

    protocol = "fashion-mnist-cnn-v1"
    option = "fashion_mnist"
    training_images = 60_000
    shape = (1, 28, 28)
    sha256 = "ac9d328e0f6915767ec11033f9ce86df02eac7fdb68998cbce3b6220e9827efe"
