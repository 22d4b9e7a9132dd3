"""Image sets, the store of bytes that they are decoded into, and the way between bytes and [-1, 1].

Knows files and arrays, and no model, metric or training.
"""

from genbench.data.augment import mirrored, shifted
from genbench.data.captioned import CaptionedScenes
from genbench.data.celeba import CelebA
from genbench.data.epoch_order import EpochOrder
from genbench.data.folder import ImageFolder
from genbench.data.gaussians import Gaussians
from genbench.data.hugging_face import HuggingFace
from genbench.data.image_data import ImageData, Split
from genbench.data.known_distribution import KnownDistribution
from genbench.data.photographs import STL10, SVHN, Cifar100
from genbench.data.pixels import out_of_range, to_float, to_uint8
from genbench.data.sets import Cifar10, Digits, FashionMnist, Mnist
from genbench.data.source import ImageSource
from genbench.data.store import cache_dir, prepare

__all__ = [
    "STL10",
    "SVHN",
    "CaptionedScenes",
    "CelebA",
    "Cifar10",
    "Cifar100",
    "Digits",
    "EpochOrder",
    "FashionMnist",
    "Gaussians",
    "HuggingFace",
    "ImageData",
    "ImageFolder",
    "ImageSource",
    "KnownDistribution",
    "Mnist",
    "Split",
    "cache_dir",
    "mirrored",
    "out_of_range",
    "prepare",
    "shifted",
    "to_float",
    "to_uint8",
]
