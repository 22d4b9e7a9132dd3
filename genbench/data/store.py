"""Images decoded once into flat files of bytes, and mapped into memory from then on.

A store is a folder `<cache>/data/<name>-<key>/`. Of each split it holds the images, (N, C, H, W) uint8, and,
where there are classes, the labels, (N,) int64, and, where there are captions, a text in UTF-8 with one of
them a line; `header.json` describes them under a checksum, with the
CRC-32 of each file, which every process verifies before it uses the file.
A store appears under its name by one rename, complete, or not at all. Its files are written, not mapped: a
full disk is then an error of a write, where a mapping would end the process.
"""

import errno
import hashlib
import json
import math
import os
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock

from genbench.data.captions import CaptionFile
from genbench.data.image_data import ImageData, Split
from genbench.data.memory_map import MappedFile
from genbench.data.source import SPLITS, ImageSource
from genbench.records.files import clear, crc32, read_sealed, sealed, state_of
from genbench.records.texts import cleaned
from genbench.runtime.disk import check_makable, check_space, check_writable, expanded, naming
from genbench.runtime.progress import Bar, Progress

__all__ = ["cache_dir", "prepare"]


def cache_dir() -> Path:
    """Return the folder for files that can be made again: $GENBENCH_CACHE, or ~/.cache/genbench.

    Image stores, downloaded sets, reference statistics, trained classifiers and measured rates lie there.
    Raises ValueError, which names the variable, where the user has no home directory.
    """
    path = os.environ.get("GENBENCH_CACHE") or "~/.cache/genbench"
    if "://" in path:
        raise ValueError(f"GENBENCH_CACHE is {path}, an address: name a folder of this machine")
    return expanded(path, "name a folder for cached files by the variable GENBENCH_CACHE")


def prepare(
    source: ImageSource, *, progress: Progress, cache: Path | None = None, captions: bool = True
) -> ImageData:
    """Return the images of `source`, decoded into a store under `cache` unless a sound one is there.

    cache: by default the folder of `cache_dir`. captions: False where no model takes text. The captions of a
    folder of images are not read then, and its key is that of the images alone, which text beside them does
    not change.

    Several processes may prepare one set at once: one decodes, the others wait. A damaged store is made anew,
    with a warning. Raises whatever `source` raises, and ValueError where its images are not as it states.
    """
    source.check()
    progress.say(source.remarks())
    key = source.key() if captions else source.key_without_captions()
    folder = (cache or cache_dir()) / "data" / f"{source.name}-{key[:16]}"
    if find_fault(folder, key):
        check_cache(folder, source)
        size = sum(source.counts().values()) * math.prod(source.shape)
        check_space(
            folder.parent, size, f"the images of {source.name}", "name another disk by GENBENCH_CACHE"
        )
        with FileLock(f"{folder}.lock"):
            if reason := find_fault(folder, key):  # else another process has made it meanwhile
                make_store(source, folder, key, reason, progress)
    return open_store(source, folder, key).divided(source.validation)


def check_cache(folder: Path, source: ImageSource) -> None:
    """Make the folder of all stores. Raises ValueError where a missing store could not be written there."""
    try:
        check_makable(folder.parent)
        folder.parent.mkdir(parents=True, exist_ok=True)
        check_writable(folder.parent)
        lock = f"{folder}.lock"
        if os.path.exists(lock) and not os.access(lock, os.R_OK | os.W_OK):  # made by another user
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), lock)
    except OSError as error:
        raise ValueError(
            f"the cache does not hold {source.name} yet and cannot be written ({error.strerror}: "
            f"{error.filename}): make it writable, or name another folder by the variable GENBENCH_CACHE"
        ) from error


def find_fault(folder: Path, key: str) -> str:
    """Describe what is wrong with the store at `folder`; "" for a sound one, of images with this key."""
    try:
        header = read_sealed(folder / "header.json", "header")
        if header["key"] != key:
            return "belongs to other images"
        if "crc32" not in header:
            return "was written by an earlier version, without checksums of its images"
        return next(filter(None, (file_fault(folder / name, header) for name in header["crc32"])), "")
    except PermissionError as error:  # of a cache that other users fill: nothing is damaged
        raise ValueError(
            f"the image store {folder} cannot be read ({error.strerror}: {error.filename}): make it "
            "readable, or name another folder for caches by the variable GENBENCH_CACHE"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"is damaged ({error})"


def file_fault(path: Path, header: dict[str, Any]) -> str:
    """Describe what is wrong with one file of a store, "" if nothing; reads all of it, once a process."""
    state = state_of(path)
    if state is None or state.size != header["bytes"][path.name]:
        return f"is damaged ({path.name} is missing, or its size wrong)"
    if crc32(path, state) != header["crc32"][path.name]:
        return f"is damaged (the checksum of {path.name} is wrong)"
    return ""


def make_store(source: ImageSource, folder: Path, key: str, reason: str, progress: Progress) -> None:
    """Decode `source` beside `folder`, then put the result in its place by one rename.

    Raises ValueError where the images change meanwhile.
    """
    if os.path.lexists(folder):
        warnings.warn(f"the image store {folder} {reason}; it is rebuilt", stacklevel=3)
    remove_parts(folder)
    part = folder.with_name(f"{folder.name}.part")
    clear(part)  # left by a killed process: the lock says that nobody writes it
    part.mkdir()
    try:
        with naming(part):
            write_store(source, part, key, progress)
        if key not in (source.key(), source.key_without_captions()):
            raise ValueError(f"files of {source.name} changed while they were decoded: run the command again")
        clear(folder)
        part.rename(folder)
    finally:
        clear(part)
    sync_folder(folder.parent)


def remove_parts(folder: Path) -> None:
    """Remove parts of stores beside `folder` that killed processes left and on which nobody holds a lock.

    Those of other users, who may share the cache, cannot be removed and are passed over.
    """
    for part in folder.parent.glob("*.part"):
        # A Timeout too: a process is decoding there, such as this one in `folder` itself.
        with suppress(OSError), FileLock(f"{part.with_suffix('')}.lock", timeout=0):
            clear(part)


def write_store(source: ImageSource, folder: Path, key: str, progress: Progress) -> None:
    """Write all files of a store into an empty folder, one image at a time."""
    counts = source.counts()
    if min(counts[split] for split in SPLITS) < 1:
        raise ValueError(f"{source.name} has {counts} images; each split needs at least one: add images")
    sums, decoded = dict[str, int](), hashlib.sha256()
    with progress.bar(f"Preparing {source.name}", sum(counts.values())) as bar:
        for split in SPLITS:
            if holds_captions(source, key):
                sums |= write_captions(source, split, folder)
            sums |= write_split(source, split, folder, bar, decoded)
    header = {
        "key": key,
        "shape": list(source.shape),
        "counts": counts,
        "bytes": {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
        "crc32": sums,
        "sha256": decoded.hexdigest(),
    }
    with (folder / "header.json").open("wb") as file:
        file.write(json.dumps(sealed("header", header), indent=1).encode())
        sync(file)
    sync_folder(folder)


def holds_captions(source: ImageSource, key: str) -> bool:
    """Return True where a store of this key has the captions of its images."""
    return source.captioned and source.key() == key


def write_split(
    source: ImageSource, split: str, folder: Path, bar: Bar, decoded: "hashlib._Hash"
) -> dict[str, int]:
    """Write the images of one split, and its labels if there are any: file name -> CRC-32.
    decoded: the hash of all splits, which goes over the bytes of the images, then of the labels.
    """
    expected, sums = source.counts()[split], dict[str, int]()
    labels = np.full(expected, -1, np.int64)
    count = crc = 0
    with (folder / f"{split}.images").open("wb") as file:
        for image, label in source.decode(split):
            check_item(source, split, count, image, label)
            content = image.transpose(2, 0, 1).tobytes()
            file.write(content)
            crc = zlib.crc32(content, crc)
            decoded.update(content)
            labels[count] = label
            count += 1
            bar.advance(bar.done + 1)
        sync(file)
    if count != expected:
        raise ValueError(f"{source.name} has {count} {split} images instead of {expected}: its files are cut")
    sums[f"{split}.images"] = crc
    decoded.update(labels.tobytes())
    if source.num_classes:
        sums |= write_file(folder / f"{split}.labels", labels.tobytes())
    return sums


def write_captions(source: ImageSource, split: str, folder: Path) -> dict[str, int]:
    """Write the captions of one split, before its images are decoded: file name -> CRC-32. Raises ValueError
    where there is not one for each image, or one is none (see `cleaned`).
    """
    lines = []
    for number, caption in enumerate(source.captions(split)):
        try:
            lines.append(cleaned(caption))
        except ValueError as error:
            raise ValueError(f"{split} image {number} of {source.name}: {error}") from error
    expected = source.counts()[split]
    if len(lines) != expected:
        raise ValueError(
            f"{source.name} has {len(lines)} {split} captions for {expected} images: correct the source"
        )
    return write_file(folder / f"{split}.captions", "".join(f"{line}\n" for line in lines).encode())


def write_file(path: Path, content: bytes) -> dict[str, int]:
    """Write a file of the store as a whole: its name -> its CRC-32."""
    with path.open("wb") as file:
        file.write(content)
        sync(file)
    return {path.name: zlib.crc32(content)}


def check_item(source: ImageSource, split: str, number: int, image: np.ndarray, label: int) -> None:
    """Raise ValueError unless an image and its label are as the source states."""
    c, h, w = source.shape
    if number >= source.counts()[split] or image.shape != (h, w, c) or image.dtype != np.uint8:
        raise ValueError(
            f"{split} image {number} of {source.name} is {image.shape} {image.dtype}; "
            f"there must be {source.counts()[split]} images of {(h, w, c)} uint8: correct the source"
        )
    if not (0 <= label < source.num_classes or (label == -1 and source.num_classes == 0)):
        raise ValueError(
            f"{split} image {number} of {source.name} has label {label}; "
            f"labels are 0 to {source.num_classes - 1}, or -1 where there are no classes: correct the source"
        )


def open_store(source: ImageSource, folder: Path, key: str) -> ImageData:
    """Map the files of a sound store into memory."""
    header = read_sealed(folder / "header.json", "header")
    shape = (header["shape"][0], header["shape"][1], header["shape"][2])
    splits, captioned = {}, holds_captions(source, key)
    for split in SPLITS:
        n, crc = header["counts"][split], header["crc32"]
        name = f"{split}.images"
        files = [MappedFile(folder / name, np.uint8, (n, *shape), crc[name])]
        if source.num_classes:
            name = f"{split}.labels"
            files.append(MappedFile(folder / name, np.int64, (n,), crc[name]))
        labels = files[1].tensor if files[1:] else None
        captions = open_captions(folder / f"{split}.captions", header, n) if captioned else None
        splits[split] = Split(files[0].tensor, labels, files, captions=captions)
    return ImageData(
        name=source.name,
        train=splits["train"],
        test=splits["test"],
        class_names=source.class_names,
        num_classes=source.num_classes,
        flip=source.flip,
        key=key,
        shape=shape,
        distribution=source.distribution,
    )


def open_captions(path: Path, header: dict[str, Any], n: int) -> CaptionFile:
    """Map the captions of a split of n images. Raises ValueError where the store, under the same key, was
    made without them.
    """
    if path.name not in header["crc32"]:
        raise ValueError(f"{path.parent} holds no captions under this key: have the key change with them")
    shape = (header["bytes"][path.name],)
    return CaptionFile(MappedFile(path, np.uint8, shape, header["crc32"][path.name]), n)


def sync(file: BinaryIO) -> None:
    """Flush a file and have the system write it to the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have the system write the names in a folder to the disk, such as one that a rename has just given."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
