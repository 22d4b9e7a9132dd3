"""Images decoded once into flat files of bytes, and mapped into memory from then on.

A store is a folder `<cache>/data/<name>-<key>/`. Of each split it holds the images, (N, C, H, W) uint8, and,
where there are classes, the labels, (N,) int64; `header.json` describes them under a checksum.
It appears under its name by one rename, complete, or not at all.
"""

import hashlib
import json
import os
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from genbench.data.law import KnownLaw
from genbench.data.source import SPLITS, ImageSource
from genbench.progress import Bar, Progress

__all__ = ["ImageData", "Split", "cache_dir", "prepare"]


class Split:
    """Images (N, C, H, W) uint8, and their labels (N,) int64 or None."""

    def __init__(self, images: Tensor, labels: Tensor | None) -> None:
        if images.dim() != 4 or images.dtype != torch.uint8:
            raise ValueError(f"images are {tuple(images.shape)} {images.dtype}; legal is (N, C, H, W) uint8")
        if labels is not None and (labels.shape != images.shape[:1] or labels.dtype != torch.int64):
            raise ValueError(
                f"labels are {tuple(labels.shape)} {labels.dtype}; legal is ({len(images)},) int64"
            )
        self.images = images
        self.labels = labels

    def __len__(self) -> int:
        return len(self.images)

    def gather(self, index: Tensor, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Images (B, C, H, W) uint8 and labels (B,) or None of index (B,) int64, on `device`."""
        index = index.cpu()
        images = move(self.images.index_select(0, index), device)
        return images, None if self.labels is None else move(self.labels.index_select(0, index), device)


@dataclass(frozen=True)
class ImageData:
    """A prepared set: both splits, and what its source said of it."""

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    num_classes: int
    flip: bool
    key: str
    shape: tuple[int, int, int]
    law: KnownLaw | None = None
    """The exact law of the images, where it is known."""


def cache_dir() -> Path:
    """The folder for whatever can be made again: $GENBENCH_CACHE, or ~/.cache/genbench."""
    return Path(os.environ.get("GENBENCH_CACHE") or "~/.cache/genbench").expanduser()


def prepare(source: ImageSource, *, cache: Path, progress: Progress) -> ImageData:
    """The images of `source`, decoded into a store under `cache` unless a sound one is there.

    Several processes may prepare one set at once: one decodes, the others wait. A damaged store is made anew,
    with a warning. Raises whatever `source` raises, and ValueError where it does not keep its word.
    """
    source.check()
    progress.say(source.remarks())
    key = source.key()
    folder = cache / "data" / f"{source.name}-{key[:16]}"
    if fault(folder, key):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if reason := fault(folder, key):  # else another process has made it meanwhile
                build(source, folder, key, reason, progress)
    return read(source, folder, key)


def fault(folder: Path, key: str) -> str:
    """What is wrong with the store at `folder`; "" for a sound one."""
    try:
        sealed = json.loads((folder / "header.json").read_text())
        header = sealed["header"]
        if sealed["sha256"] != checksum(header) or header["key"] != key:
            return "the checksum or the key of header.json is wrong"
        sizes = {name: (folder / name).stat().st_size for name in header["bytes"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    wrong = [name for name, size in sizes.items() if size != header["bytes"][name]]
    return f"wrong size of {', '.join(wrong)}" if wrong else ""


def build(source: ImageSource, folder: Path, key: str, reason: str, progress: Progress) -> None:
    """Decode `source` beside `folder`, then put the result in its place by one rename."""
    if folder.exists():
        warnings.warn(f"the image store {folder} is damaged ({reason}); it is made anew", stacklevel=3)
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # left by a killed process: the lock says that nobody writes it
    part.mkdir()
    try:
        write(source, part, key, progress)
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    sync_folder(folder.parent)


def write(source: ImageSource, folder: Path, key: str, progress: Progress) -> None:
    """Write all files of a store into an empty folder, one image at a time."""
    counts = source.counts()
    if min(counts[split] for split in SPLITS) < 1:
        raise ValueError(f"{source.name} has {counts} images; each split needs at least one: add images")
    with progress.bar(f"Preparing {source.name}", sum(counts.values())) as bar:
        for split in SPLITS:
            write_split(source, split, folder, bar)
    header = {
        "key": key,
        "shape": list(source.shape),
        "counts": counts,
        "bytes": {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
    }
    with (folder / "header.json").open("wb") as file:
        file.write(json.dumps({"sha256": checksum(header), "header": header}, indent=1).encode())
        sync(file)
    sync_folder(folder)


def write_split(source: ImageSource, split: str, folder: Path, bar: Bar) -> None:
    """Write the images of one split, and its labels where there are any."""
    expected = source.counts()[split]
    labels = np.full(expected, -1, np.int64)
    count = 0
    with (folder / f"{split}.images").open("wb") as file:
        for image, label in source.decode(split):
            check_item(source, split, count, image, label)
            file.write(image.transpose(2, 0, 1).tobytes())
            labels[count] = label
            count += 1
            bar.advance(bar.done + 1)
        sync(file)
    if count != expected:
        raise ValueError(f"{source.name} has {count} {split} images instead of {expected}: its files are cut")
    if source.num_classes:
        with (folder / f"{split}.labels").open("wb") as file:
            file.write(labels.tobytes())
            sync(file)


def check_item(source: ImageSource, split: str, number: int, image: np.ndarray, label: int) -> None:
    """Raise ValueError unless an image and its label are what the source promised."""
    c, h, w = source.shape
    if number >= source.counts()[split] or image.shape != (h, w, c) or image.dtype != np.uint8:
        raise ValueError(
            f"{split} image {number} of {source.name} is {image.shape} {image.dtype}; "
            f"legal are {source.counts()[split]} images of {(h, w, c)} uint8: mend the source"
        )
    if not (0 <= label < source.num_classes or (label == -1 and source.num_classes == 0)):
        raise ValueError(
            f"{split} image {number} of {source.name} has label {label}; "
            f"legal are 0 to {source.num_classes - 1}, or -1 where there are no classes: mend the source"
        )


def read(source: ImageSource, folder: Path, key: str) -> ImageData:
    """Map a sound store into memory."""
    header = json.loads((folder / "header.json").read_text())["header"]
    shape = (header["shape"][0], header["shape"][1], header["shape"][2])
    splits = {}
    for split in SPLITS:
        n = header["counts"][split]
        labels = mapped(folder / f"{split}.labels", np.int64, (n,)) if source.num_classes else None
        splits[split] = Split(mapped(folder / f"{split}.images", np.uint8, (n, *shape)), labels)
    return ImageData(
        name=source.name,
        train=splits["train"],
        test=splits["test"],
        class_names=source.class_names,
        num_classes=source.num_classes,
        flip=source.flip,
        key=key,
        shape=shape,
        law=source.law,
    )


def mapped(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> Tensor:
    """A file as a tensor that costs no memory until it is read.

    The mapping is copy-on-write: torch has no read-only tensors, and so no write can reach the file.
    """
    return torch.from_numpy(np.memmap(path, dtype, mode="c", shape=shape))


def move(batch: Tensor, device: torch.device) -> Tensor:
    """A host batch on `device`; the copy to a GPU goes through pinned memory and is not waited for."""
    if device.type == "cuda":
        return batch.pin_memory().to(device, non_blocking=True)
    return batch.to(device)


def checksum(header: dict[str, object]) -> str:
    """sha256 of a header in its one canonical spelling."""
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()


def sync(file: BinaryIO) -> None:
    """Bring what was written onto the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder onto the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
