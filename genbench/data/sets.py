"""Named image sets: scikit-learn's digits, and those of torchvision that are read as they are published."""

import shutil
import socket
import tempfile
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from genbench.data.source import BY_ROOT, GreySource, ImageSource, digest, file_digest, given_root
from genbench.data.store import cache_dir
from genbench.records.files import clear
from genbench.records.untrusted_files import open_regular
from genbench.runtime.disk import check_writable

__all__ = ["Cifar10", "Digits", "FashionMnist", "Mnist", "TorchvisionSource"]

TIMEOUT_SECONDS = 5.0  # of silence on a connection before a download is given up
NUMERALS = tuple("0123456789")
IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


class Digits(GreySource):
    """The 1,797 handwritten digits of scikit-learn, 8x8x1; they come with the library, so nothing is fetched.

    Grey levels 0 ... 16 become bytes by u = floor(255 v / 16 + 1/2).
    Image i is a test image where i mod 5 = 4: 1,438 train, 359 test.
    Source: E. Alpaydin, C. Kaynak, 1998, UCI Optical Recognition of Handwritten Digits (its test part).
    """

    name = "digits"
    shape = (1, 8, 8)
    num_classes = 10
    class_names = NUMERALS
    flip = False

    def check(self) -> None:
        """The images come with scikit-learn, so that nothing can be missing."""

    def key(self) -> str:
        return digest([self.name, "test where i % 5 == 4"])

    def counts(self) -> dict[str, int]:
        return {"train": 1438, "test": 359}

    def decode(self, split: str) -> Iterator[tuple[np.ndarray, int]]:
        from sklearn.datasets import load_digits

        grey, labels = load_digits(return_X_y=True)
        images = np.floor(grey * 255 / 16 + 0.5).astype(np.uint8).reshape(-1, 8, 8, 1)
        chosen = (np.arange(len(images)) % 5 == 4) == (split == "test")
        yield from zip(self.toned(images[chosen]), labels[chosen].tolist(), strict=True)


class TorchvisionSource(ImageSource):
    """One of torchvision's sets, from a folder `root` in torchvision's layout, or downloaded into the cache.

    `root` is only read, never written: archives are unpacked elsewhere, after their md5 sum is checked, and
    unpacked files are copied there; torchvision reads nothing else (it unpickles CIFAR-10, whose files it
    holds to md5 sums, and prefers the processed ones that old versions of it left beside MNIST).
    root=None takes the copy in the cache, and downloads it first where it is missing, unless download=False.
    """

    archives: tuple[str, ...]
    """The files as they are published, relative to the root."""
    unpacked: tuple[str, ...]
    """The files that torchvision reads, relative to the root."""
    sizes: tuple[int, int]
    """Number of train and of test images."""
    published_shape: tuple[int, int, int] | None = None
    """(C, H, W) of the images in the files, where `decode` makes those of `shape` of them; None: the same."""

    def __init__(
        self, root: str | None = None, *, download: bool = True, validation: float | None = None
    ) -> None:
        ImageSource.__init__(self, validation=validation)
        self.root = given_root(root)
        self.download = download

    @abstractmethod
    def official(self) -> tuple[Any, list[str]]:
        """Return torchvision's class, and the published md5 sum of each archive."""

    def loaded(self, folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Read a split by torchvision's class from a folder of unpacked files: images (N, H, W) or
        (N, H, W, C) uint8, and labels (N,). Raises as torchvision does where the files are damaged.
        """
        kind, _ = self.official()
        data = kind(str(folder), train=split == "train")
        return np.asarray(data.data), np.asarray(data.targets)

    def check(self) -> None:
        """Raise FileNotFoundError where `root` was given and lacks the files."""
        if self.root is None or self.packed(self.root) or holds(self.root, self.unpacked):
            return
        # Of the two layouts the one that is nearer to complete.
        missing = min((lacking(self.root, files) for files in (self.archives, self.unpacked)), key=len)
        what = "is not a folder" if not self.root.is_dir() else f"lacks {', '.join(missing)}"
        raise FileNotFoundError(
            f"data.root is {self.root}, which does not hold {self.name}: it {what}. Give the folder "
            f"that holds {self.archives[0]} {BY_ROOT}, or download the set by data.root=null"
        )

    def key(self) -> str:
        # Archives are held to torchvision's md5 sums before they are read, so their name is their content.
        if self.root is None or self.packed(self.root):
            return digest([self.name])
        return digest([self.name, *(file_digest(self.root / file) for file in self.unpacked)])

    def counts(self) -> dict[str, int]:
        return {"train": self.sizes[0], "test": self.sizes[1]}

    def decode(self, split: str) -> Iterator[tuple[np.ndarray, int]]:
        home = self.fetched() if self.root is None else self.root
        with self.readable(home) as folder:
            try:
                images, labels = self.loaded(folder, split)
            except (RuntimeError, ValueError, AssertionError) as error:  # as torchvision reports damage
                raise ValueError(
                    f"{home} holds damaged files, in which torchvision finds no {split} images and labels of "
                    f"{self.name}: download them again"
                ) from error
        c, h, w = self.published_shape or self.shape
        expected = (self.counts()[split], h, w) if c == 1 else (self.counts()[split], h, w, c)
        if images.shape != expected or labels.shape != expected[:1] or labels.max() >= self.num_classes:
            raise ValueError(
                f"{home} holds damaged files: {split} images of {list(images.shape)}, {len(labels):,} labels "
                f"up to {labels.max()}; {self.name} has {list(expected)}, and labels below "
                f"{self.num_classes}: download them again"
            )
        yield from zip(images.reshape(-1, h, w, c), labels.tolist(), strict=True)

    def packed(self, folder: Path) -> bool:
        """Return True where `folder` holds the archives."""
        return holds(folder, self.archives)

    @contextmanager
    def readable(self, home: Path) -> Iterator[Path]:
        """A temporary folder with the unpacked files of the folder `home` alone, for the length of a `with`
        block.
        """
        with tempfile.TemporaryDirectory() as scratch:
            if self.packed(home) and self.archives != self.unpacked:
                for archive, md5 in zip(self.archives, self.official()[1], strict=True):
                    unpack(home / archive, md5, (Path(scratch) / archive).parent)
            else:
                for file in self.unpacked:
                    copy(home / file, Path(scratch) / file)
            yield Path(scratch)

    def fetched(self) -> Path:
        """The folder of the copy in the cache, downloaded first where it is missing.

        Raises FileNotFoundError where a download is not allowed or fails.
        """
        home = cache_dir() / "torchvision" / type(self).name  # the same files in black and white, too
        if self.packed(home):
            return home
        if not self.download:
            raise FileNotFoundError(
                f"{home} does not hold {self.name}, and data.download is false; "
                "give a folder that does by data.root=PATH, or allow the download by data.download=true"
            )
        try:
            home.parent.mkdir(parents=True, exist_ok=True)
            check_writable(home.parent)
        except OSError as error:
            raise ValueError(
                f"{self.name} cannot be put into the cache ({error.strerror}: {error.filename}): make it "
                "writable, name another folder by the variable GENBENCH_CACHE, or give the files by data.root"
            ) from error
        part = home.with_name(f"{home.name}.part")
        with FileLock(f"{home}.lock"), short_timeout():
            if self.packed(home):  # another process has fetched it meanwhile
                return home
            try:
                clear(part)  # left by a killed process: the lock says that nobody writes it
                self.fetch(part)
                clear(home)
                part.rename(home)
            finally:
                clear(part)
        return home

    def fetch_all(self, folder: Path) -> None:
        """Have torchvision's class download all files into `folder`. Raises as it does."""
        kind, _ = self.official()
        kind(str(folder), download=True)

    def fetch(self, folder: Path) -> None:
        """Download the files into `folder` by torchvision, which checks their md5 sums. Raises
        FileNotFoundError where it fails.
        """
        try:
            self.fetch_all(folder)
        except (OSError, RuntimeError, HTTPException) as error:
            raise FileNotFoundError(
                f"{self.name} could not be downloaded by torchvision ({' '.join(str(error).split())}); fetch "
                f"{', '.join(self.archives)} elsewhere and give the folder that it is in by data.root=PATH"
            ) from error


class IdxSource(TorchvisionSource, GreySource):
    """One of torchvision's sets of grey images, as it is or in black and white (`binarize`)."""

    def __init__(
        self,
        root: str | None = None,
        *,
        download: bool = True,
        binarize: bool = False,
        validation: float | None = None,
    ) -> None:
        TorchvisionSource.__init__(self, root, download=download)
        GreySource.__init__(self, binarize=binarize, validation=validation)

    def decode(self, split: str) -> Iterator[tuple[np.ndarray, int]]:
        return ((self.toned(image), label) for image, label in super().decode(split))


class Mnist(IdxSource):
    """MNIST, 60,000 + 10,000 handwritten digits of ten classes, 28x28x1, in torchvision's splits.

    Source: Y. LeCun, C. Cortes, C. Burges, 1998, The MNIST database of handwritten digits.
    """

    name = "mnist"
    shape = (1, 28, 28)
    num_classes = 10
    class_names = NUMERALS
    flip = False
    archives = tuple(f"MNIST/raw/{file}.gz" for file in IDX_FILES)
    unpacked = tuple(f"MNIST/raw/{file}" for file in IDX_FILES)
    sizes = (60_000, 10_000)

    def official(self) -> tuple[Any, list[str]]:
        from torchvision.datasets import MNIST

        return MNIST, [md5 for _, md5 in MNIST.resources]


class FashionMnist(IdxSource):
    """Fashion-MNIST, 60,000 + 10,000 articles of clothing of ten classes, 28x28x1, in torchvision's splits.

    Source: Xiao, Rasul, Vollgraf 2017.
    """

    name = "fashion_mnist"
    shape = (1, 28, 28)
    num_classes = 10
    class_names = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip
    flip = False  # shoes point to one side
    archives = tuple(f"FashionMNIST/raw/{file}.gz" for file in IDX_FILES)
    unpacked = tuple(f"FashionMNIST/raw/{file}" for file in IDX_FILES)
    sizes = (60_000, 10_000)

    def official(self) -> tuple[Any, list[str]]:
        from torchvision.datasets import FashionMNIST

        return FashionMNIST, [md5 for _, md5 in FashionMNIST.resources]


class Cifar10(TorchvisionSource):
    """CIFAR-10, 50,000 + 10,000 photographs of ten classes, 32x32x3, in torchvision's splits.

    Source: A. Krizhevsky, 2009, Learning multiple layers of features from tiny images.
    """

    name = "cifar10"
    shape = (3, 32, 32)
    num_classes = 10
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    flip = True
    archives = ("cifar-10-python.tar.gz",)
    unpacked = tuple(
        f"cifar-10-batches-py/{file}"
        for file in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
    )
    sizes = (50_000, 10_000)

    def official(self) -> tuple[Any, list[str]]:
        from torchvision.datasets import CIFAR10

        return CIFAR10, [CIFAR10.tgz_md5]


def holds(folder: Path, files: tuple[str, ...]) -> bool:
    """Return True where all of these files are in `folder`."""
    return not lacking(folder, files)


def lacking(folder: Path, files: tuple[str, ...]) -> list[str]:
    """Return those of some files, relative to `folder`, that are not there or not regular."""
    return [file for file in files if not (folder / file).is_file()]


def check_sum(archive: Path, md5: str) -> None:
    """Raise ValueError unless a file has the published md5 sum."""
    from torchvision.datasets.utils import check_integrity

    if not check_integrity(archive, md5):
        raise ValueError(f"{archive} is damaged: its md5 sum is not the published {md5}; download it again")


def unpack(archive: Path, md5: str, folder: Path) -> None:
    """Unpack an archive of known md5 sum into `folder`."""
    from torchvision.datasets.utils import extract_archive

    check_sum(archive, md5)
    folder.mkdir(parents=True, exist_ok=True)
    extract_archive(archive, folder)


def copy(path: Path, target: Path) -> None:
    """Copy a regular file, making the folder that it goes to."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with open_regular(path) as file, target.open("xb") as new:
        shutil.copyfileobj(file, new)


@contextmanager
def short_timeout() -> Iterator[None]:
    """Give up silent connections after TIMEOUT_SECONDS inside a `with` block: torchvision sets no limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
