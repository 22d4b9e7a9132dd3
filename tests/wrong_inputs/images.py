"""Images that users bring: folders to train on, sets in torchvision's layout, and images to evaluate."""

import gzip
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from genbench.data.sets import IDX_FILES
from tests.wrong_inputs import Wrong

Give = Callable[[Path], object]
RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (24, 8, 8), dtype=np.uint8)

TRAIN = "main model=gan data=image_folder data.root=d data.size=8 data.channels=1 metrics=none"
LABELS = f"{TRAIN} conditional=true"
EVALUATE = "genbench evaluate {} --data digits --device cpu --set 'scores=[fid]'"
SCORED = TRAIN.replace("none", "classifier")
GIVEN, ARRAYS = EVALUATE.format("d"), EVALUATE.format("d.npz")


def images(*paths: str) -> Give:
    """Save a grey image of 8 x 8 pixels under each of some paths below d/."""

    def give(folder: Path) -> None:
        for number, path in enumerate(paths):
            save(folder, f"d/{path}", Image.fromarray(BYTES[number % len(BYTES)]))

    return give


def save(folder: Path, path: str, image: Image.Image) -> None:
    """Save an image in a folder that is made for it."""
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    image.save(folder / path)


def also(*parts: Give) -> Give:
    """Give several things."""

    def give(folder: Path) -> None:
        for part in parts:
            part(folder)

    return give


def written(path: str, content: bytes) -> Give:
    """Write a file below d/."""

    def give(folder: Path) -> None:
        (folder / "d" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "d" / path).write_bytes(content)

    return give


def linked(path: str, target: str) -> Give:
    """Make a link below d/."""

    def give(folder: Path) -> None:
        (folder / "d" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "d" / path).symlink_to(target)

    return give


def one(image: Image.Image, path: str = "x.png") -> Give:
    """Save one image below d/."""
    return partial(save, path=f"d/{path}", image=image)


def arrays(samples: object, **others: object) -> Give:
    """Write d.npz."""
    return lambda folder: np.savez(folder / "d.npz", samples=samples, **others)


def idx(files: Sequence[str], content: bytes = b"\0" * 40) -> Give:
    """Write files of Fashion-MNIST's, unpacked, that are no idx files."""
    return also(*(written(f"FashionMNIST/raw/{file}", content) for file in files))


def animation(folder: Path) -> None:
    """Save an animation of two frames among other images."""
    images("train/a.png", "test/b.png")(folder)
    first, second = Image.new("L", (8, 8)), Image.new("L", (8, 8), 99)
    first.save(folder / "d/train/x.png", save_all=True, append_images=[second])


SIX = tuple(f"{number}.png" for number in range(6))
MANY = tuple(f"{number}.png" for number in range(24))
LABELLED = tuple(f"{'ab'[number % 2]}/{number}.png" for number in range(60))
DEEP = tuple(f"train/a/b/{file}" for file in SIX)
FLOATS = Image.fromarray(BYTES[0].astype(np.float32))

ROWS = (
    # Folders to train on: where they are, and what lies in them.
    Wrong(
        TRAIN.replace("channels=1", "channels=2"),
        ("data.channels is 2", "1 (grey) and 3 (RGB)"),
        images(*SIX),
    ),
    Wrong(TRAIN.replace("size=8", "size=0"), ("data.size is 0", "from 1 to"), images(*SIX)),
    Wrong(f"{TRAIN} data.test_fraction=1", ("test_fraction is 1", "between 0 and 1"), images(*SIX)),
    Wrong(TRAIN, ("data.root is d, which is not a folder", "data.root=PATH")),
    Wrong(TRAIN.replace("data.root=d", "data.root=null"), ("data.root is null", "data.root=PATH")),
    Wrong("genbench evaluate d --data image_folder", ("is null", "--data-root PATH"), images(*SIX)),
    Wrong(
        "genbench evaluate d --data image_folder --data-root e", ("is e", "--data-root PATH"), images(*SIX)
    ),
    Wrong(TRAIN.replace("data.root=d", "data.root="), ("data.root is ''",)),
    Wrong(
        TRAIN.replace("data.root=d", "'data.root=\"~nobody_is_so/x\"'"),
        ("~nobody_is_so/x", "the whole path"),
    ),
    Wrong(TRAIN, ("data.root is d, which is a file", "unpack"), lambda folder: (folder / "d").write_text("")),
    Wrong(TRAIN, ("d holds no images", ".tif", "data.root=PATH"), lambda folder: (folder / "d").mkdir()),
    Wrong(TRAIN, ("d holds no images", "files of .zip (1)"), written("x.zip", b"PK")),
    Wrong(
        TRAIN,
        ("d/test holds no images", "the test split"),
        also(images("train/a.png"), written("test/x", b"")),
    ),
    Wrong(
        TRAIN,
        ("d/train holds no images", "such as a.png (1)"),
        also(linked("train/a.png", "b"), images("val/c.png")),
    ),
    Wrong(TRAIN, ("test images alone (test)", "into train beside"), images("test/a.png", "test/b.png")),
    Wrong(TRAIN, ("test images alone (dev, eval)",), images("dev/a.png", "eval/b.png")),
    Wrong(
        TRAIN, ("Train and train, which differ by case",), images("Train/a.png", "train/b.png", "test/c.png")
    ),
    Wrong(TRAIN, ("data.test_fraction=0.1", "none is left", "add images"), images("a.png")),
    # Labels.
    Wrong(LABELS, ("images lie directly in d, such as", "a folder of its own"), images(*SIX)),
    Wrong(LABELS, ("images lie directly in d/train, such as 0.png",), images("train/0.png", "test/a/1.png")),
    Wrong(LABELS, ("d/train/a/b/0.png lies in a/b", "train/CLASS/IMAGE"), images(*DEEP, "test/a/0.png")),
    Wrong(LABELS, ("all lie in one folder, d/cat",), images("cat/0.png", "cat/1.png")),
    Wrong(
        LABELS, ("1 of 2 have test images alone", "d/test/b/1.png"), images("train/a/0.png", "test/b/1.png")
    ),
    Wrong(
        f"{SCORED} 'scores=[fid]'", ("no classes", "a folder for each class", "metrics=none"), images(*MANY)
    ),
    # Files of images that cannot be read, or not as they are meant.
    Wrong(
        TRAIN,
        ("d/0.png cannot be read (it is empty)", "remove it"),
        also(images(*SIX), written("0.png", b"")),
    ),
    Wrong(
        TRAIN, ("d/0.png cannot be read (it is not an image)",), also(images(*SIX), written("0.png", b"text"))
    ),
    Wrong(
        TRAIN,
        ("d/train/a.png cannot", "holds for 2 more"),
        also(*(written(f"{x}.png", b"") for x in ("train/a", "train/b", "test/c"))),
    ),
    Wrong(TRAIN, ("d/train/x.png", "2 frames", "save each"), animation),
    Wrong(
        TRAIN,
        ("d/train/x.tif", "mode F", "0 .. 255"),
        also(images("train/a.png", "test/b.png"), one(FLOATS, "train/x.tif")),
    ),
    Wrong(
        f"{SCORED} 'scores=[is]'",
        ("test split", "has 1 image; scores.is needs 20 or more: add images"),
        images("a/0.png", "a/1.png", "b/2.png"),
    ),
    Wrong(
        f"{SCORED} 'scores=[fid]'",
        ("training split", "has 1 image,", "2 or more"),
        images("train/a/0.png", "test/a/1.png", "test/b/2.png"),
    ),
    Wrong(
        f"{SCORED} 'scores=[is,fid,kid]'",
        ("has 6 images; scores.is", "by data.test_fraction=0.34, or add", "use 'scores=[fid,kid]'"),
        images(*LABELLED),
    ),
    Wrong(
        f"{SCORED} 'scores=[is]'",
        ("d/a/3.png cannot be read", "1 more"),
        also(images(*LABELLED), written("a/3.png", b""), written("b/4.png", b"x")),
    ),
    # Torchvision's sets.
    Wrong(
        "main data=mnist data.root=d",
        ("data.root is d", "it is not a folder", "MNIST/raw/train-images-idx3-ubyte.gz"),
    ),
    Wrong(
        "main data=cifar10 data.root=d",
        ("d, which does not hold cifar10: it lacks cifar-10-python.tar.gz",),
        images("a.png"),
    ),
    Wrong(
        "main data=fashion_mnist data.root=d",
        ("it lacks FashionMNIST/raw/t10k-labels-idx1-ubyte.", "data.root=null"),
        idx(IDX_FILES[:3]),
    ),
    Wrong("main data=fashion_mnist data.root=", ("data.root is ''",)),
    Wrong(
        "main data=fashion_mnist data.root=d metrics=none",
        ("d holds damaged files", "download them again"),
        idx(IDX_FILES),
    ),
    Wrong(
        "main data=fashion_mnist data.root=d metrics=none",
        ("train-images-idx3-ubyte.gz is damaged: its md5 sum",),
        also(*(written(f"FashionMNIST/raw/{file}.gz", gzip.compress(b"cut")) for file in IDX_FILES)),
    ),
    # Folders of images to evaluate.
    Wrong(GIVEN, ("d does not exist",)),
    Wrong(GIVEN, ("d holds no images", ".bmp"), lambda folder: (folder / "d").mkdir()),
    Wrong(GIVEN, ("d holds no images", "files of .txt (1)"), written("a.txt", b"")),
    Wrong(
        GIVEN,
        ("d/x.png is 9x8 in mode L; the data has 8x8", "data.size", "(FILE).resize((8, 8)),"),
        one(Image.new("L", (9, 8))),
    ),
    Wrong(
        GIVEN,
        ("d/x.png is 8x8 in mode RGB", "in mode L", "Nothing is", '(FILE).convert("L"),'),
        one(Image.new("RGB", (8, 8))),
    ),
    Wrong(GIVEN, ("d/x.png is 8x8 in mode RGBA",), one(Image.new("RGBA", (8, 8)))),
    Wrong(GIVEN, ("d/x.png is 8x8 in mode I;16",), one(Image.fromarray(BYTES[0].astype(np.uint16)))),
    Wrong(GIVEN, ("d/x.tif", "mode F", "0 .. 255"), one(FLOATS, "x.tif")),
    Wrong(
        GIVEN,
        ("d/2.png cannot be read (it is not an image)", "1 more"),
        also(images(*SIX), written("2.png", b"x"), written("10.png", b"x")),
    ),
    Wrong(GIVEN, ("there is 1 image; scores.fid needs 2 or more: bring more",), images("a.png")),
    Wrong(GIVEN, ("d holds no images", "broken links such as x.png (1)"), linked("x.png", "nowhere")),
    Wrong(GIVEN, ("d holds no images", "devices (1)"), linked("x.png", "/dev/zero")),
    Wrong(
        GIVEN,
        ("d holds no images", "named pipes (1)"),
        also(written("x.txt", b""), lambda folder: os.mkfifo(folder / "d/x.png")),
    ),
    # Arrays to evaluate.
    Wrong(ARRAYS, ("float64 with numbers from 0 to 1", "scale to 0 .. 255 and round"), arrays(BYTES / 255)),
    Wrong(
        ARRAYS,
        ("float32", "scale from -1 .. 1 to 0 .. 255 and round"),
        arrays((BYTES / 127.5 - 1).astype(np.float32)),
    ),
    Wrong(ARRAYS, ("numbers from 0 to 255", "levels already"), arrays(BYTES.astype(float))),
    Wrong(ARRAYS, ("int64", "scale to 0 .. 255"), arrays(BYTES.astype(np.int64) - 300)),
    Wrong(ARRAYS, ("uint16", "(samples / 257)"), arrays(BYTES.astype(np.uint16) * 257)),
    Wrong(ARRAYS, ("dtype bool", "use 255 for true"), arrays(BYTES > 99)),
    Wrong(ARRAYS, ("1,536 of its numbers not finite",), arrays(np.full(BYTES.shape, np.nan))),
    Wrong(ARRAYS, ("shape [24, 1, 8, 8]", "transpose(0, 2, 3, 1)"), arrays(BYTES[:, None])),
    Wrong(ARRAYS, ("shape [8, 8]", "samples[None]"), arrays(BYTES[0])),
    Wrong(
        ARRAYS,
        ("shape [24, 8, 8, 4]", "[N, 8, 8, 1]", "as grey images"),
        arrays(np.stack([BYTES] * 4, axis=-1)),
    ),
    Wrong(ARRAYS, ("shape [24, 8, 7]", "--set data.size=.."), arrays(BYTES[:, :, :7])),
    Wrong(ARRAYS, ("shape [0, 8, 8]", "it holds no image"), arrays(BYTES[:0])),
    Wrong(ARRAYS, ("shape []", "images first"), arrays(np.uint8(3))),
    Wrong(ARRAYS, ("there is 1 image;",), arrays(BYTES[:1])),
    Wrong(ARRAYS, ("labels has shape [3]", "24 integers"), arrays(BYTES, labels=np.zeros(3, int))),
    Wrong(
        ARRAYS,
        ("labels range from 0 to 23", "from 0 to 9", "without labels"),
        arrays(BYTES, labels=np.arange(24)),
    ),
    Wrong(ARRAYS, ("labels has", "24 integers: save the"), arrays(BYTES, labels=np.full(24, 0.5))),
    Wrong(ARRAYS, ("24 integers: use labels.astype(int)",), arrays(BYTES, labels=np.ones(24))),
    Wrong(ARRAYS, ("use labels[:, 0]",), arrays(BYTES, labels=np.ones((24, 1), int))),
    Wrong(ARRAYS, ("the largest: labels.argmax(1)",), arrays(BYTES, labels=np.eye(24, 10))),
    Wrong(ARRAYS, ("shape [24, 8, 8, 3]", "colour data"), arrays(np.stack([BYTES] * 3, axis=-1))),
    Wrong(ARRAYS, ("shape [24, 16, 16]", "data of this size"), arrays(BYTES.repeat(2, 1).repeat(2, 2))),
)
