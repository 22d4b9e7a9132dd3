"""Features of the shipped digits classifier."""

from pathlib import Path

import torch

from genbench.data import ImageData, ImageSource
from genbench.data.source import file_digest
from genbench.metrics.cache import load
from genbench.metrics.cnn import CNNExtractor
from genbench.metrics.features import FeatureExtractor, FeatureSource
from genbench.progress import Progress

__all__ = ["SHA256", "WEIGHTS", "DigitsFeatures"]

WEIGHTS = Path(__file__).with_name("digits_cnn_v1.safetensors")
SHA256 = "b86c78519b8e8c5ec8f8a0e22f8379736ceb445107f134042332714e12b925d0"
SHAPE = (1, 8, 8)


class DigitsFeatures(FeatureSource):
    """A classifier of the 8x8 digits, made by genbench.metrics.digits_cnn and shipped with the package."""

    def check(self, source: ImageSource) -> None:
        """Raise ValueError on images of another shape, or where the shipped weights are damaged."""
        check(source.name, source.shape)

    def build(self, data: ImageData, *, device: torch.device, progress: Progress) -> FeatureExtractor:
        check(data.name, data.shape)
        return CNNExtractor(load(WEIGHTS), "digits-cnn-v1").to(device)


def check(name: str, shape: tuple[int, int, int]) -> None:
    """Raise ValueError unless images of this shape can be sent through the weights that were shipped."""
    if shape != SHAPE:
        raise ValueError(
            f"images of {name} are {shape}; digits features are of {SHAPE}: "
            "take features=classifier or features=auto"
        )
    if file_digest(WEIGHTS) != SHA256:
        raise ValueError(f"{WEIGHTS} is damaged (its sha256 is not {SHA256}); install genbench again")
