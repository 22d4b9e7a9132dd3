"""CIFAR-100, SVHN and STL-10: sets of torchvision with more classes, other files or other sides."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from genbench.data.sets import NUMERALS, TorchvisionSource
from genbench.data.source import digest

__all__ = ["STL10", "SVHN", "Cifar100"]

FINE = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup
dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower
leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid
otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray
road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
wardrobe whale willow_tree wolf woman worm
"""
"""Names of the hundred fine classes of CIFAR-100, in the order of their numbers."""


class Cifar100(TorchvisionSource):
    """CIFAR-100, 50,000 + 10,000 photographs of a hundred classes, 32x32x3, in torchvision's splits.

    Labels are the hundred fine ones, in the alphabetical order of the files.
    Source: A. Krizhevsky, 2009, Learning multiple layers of features from tiny images.
    """

    name = "cifar100"
    shape = (3, 32, 32)
    num_classes = 100
    class_names = tuple(FINE.split())
    flip = True
    archives = ("cifar-100-python.tar.gz",)
    unpacked = tuple(f"cifar-100-python/{file}" for file in ("train", "test", "meta"))
    sizes = (50_000, 10_000)

    def official(self) -> tuple[Any, list[str]]:
        from torchvision.datasets import CIFAR100

        return CIFAR100, [CIFAR100.tgz_md5]


class SVHN(TorchvisionSource):
    """Street View House Numbers, cropped digits: 73,257 + 26,032 photographs of ten classes, 32x32x3.

    The 531,131 easier images of the split `extra` are not read, as in most of the literature. Label k is the
    digit k: the files write 10 for the digit 0. Source: Netzer et al. 2011.
    """

    name = "svhn"
    shape = (3, 32, 32)
    num_classes = 10
    class_names = NUMERALS
    flip = False  # a mirrored digit is none
    archives = unpacked = ("train_32x32.mat", "test_32x32.mat")  # which nothing packs
    sizes = (73_257, 26_032)

    def official(self) -> tuple[Any, list[str]]:
        from torchvision.datasets import SVHN

        return SVHN, [SVHN.split_list[split][2] for split in ("train", "test")]

    def loaded(self, folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
        data = self.official()[0](str(folder), split=split)
        return np.moveaxis(data.data, 1, 3), data.labels

    def fetch_all(self, folder: Path) -> None:
        for split in ("train", "test"):
            self.official()[0](str(folder), split=split, download=True)


class STL10(TorchvisionSource):
    """STL-10: 96x96x3 photographs of objects, of which generative models take the unlabelled ones.

    labelled: False trains on the 100,000 images of the split `unlabeled`, which have no classes, as Miyato
    et al. 2018 do; True on the 5,000 of ten classes. The 8,000 test images are the same ones, without their
    labels in the former case. size: side in pixels, 48 there; 32, 48 and 96 are means over whole blocks of 3,
    2 and 1 pixels, by the box filter, which at 64 weighs pixels by their part in each box.
    Source: Coates, Ng, Lee 2011. Raises ValueError on another size.
    """

    name = "stl10"
    flip = True
    archives = ("stl10_binary.tar.gz",)
    unpacked = tuple(
        f"stl10_binary/{file}.bin" for file in ("train_X", "train_y", "unlabeled_X", "test_X", "test_y")
    )
    published_shape = (3, 96, 96)

    def __init__(
        self,
        root: str | None = None,
        *,
        download: bool = True,
        labelled: bool = False,
        size: int = 48,
        validation: float | None = None,
    ) -> None:
        super().__init__(root, download=download, validation=validation)
        if size not in (32, 48, 64, 96):
            raise ValueError(f"data.size is {size}; stl10 has 32, 48, 64 and 96 pixels: choose one of these")
        self.shape = (3, size, size)
        self.labelled = labelled
        names = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
        self.class_names = names if labelled else ()
        self.num_classes = len(self.class_names)
        self.sizes = (5_000 if labelled else 100_000, 8_000)

    def official(self) -> tuple[Any, list[str]]:
        from torchvision.datasets import STL10

        return STL10, [STL10.tgz_md5]

    def key(self) -> str:
        return digest([super().key(), f"labelled {self.labelled}, {self.shape[1]} pixels, box"])

    def check_labels(self) -> None:
        """Raise ValueError, with the setting that gives labels, where the images have none."""
        if not self.labelled:
            raise ValueError(
                "conditional=true needs labels, and the 100,000 training images of stl10 have none: use "
                "data.labelled=true, which trains on the 5,000 images that have, or conditional=false"
            )

    def loaded(self, folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
        part = "unlabeled" if split == "train" and not self.labelled else split
        data = self.official()[0](str(folder), split=part)
        labels = data.labels.astype(np.int64) if self.labelled else np.full(len(data.data), -1)
        return np.moveaxis(data.data, 1, 3), labels

    def decode(self, split: str) -> Iterator[tuple[np.ndarray, int]]:
        side = self.shape[1]
        for image, label in super().decode(split):
            resized = Image.fromarray(image).resize((side, side), Image.Resampling.BOX)
            yield np.asarray(resized), label
