"""The image files below a folder, and counts of the other files there."""

import os
import stat
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genbench.records.untrusted_files import KINDS

__all__ = ["SUFFIXES", "Tree", "image_tree", "is_folder", "is_image", "kinds_of", "remarks", "shortened"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
NOWHERE, UNREADABLE = "broken links", "folders that cannot be read"
TEXTS = "files of .txt"
AGAIN = "folders that are read already, reached again by a link"
FAULTY = (NOWHERE, UNREADABLE)  # of which the first one is named, since it is likely to be missed
NAMED = 6  # kinds of files that are named before the rest is counted


class Tree(NamedTuple):
    """The image files below a folder, and counts of the other files there."""

    images: list[str]
    """Relative paths of regular files whose names end as images do, sorted."""
    files: np.ndarray
    """An int64 number for each of these names, in no order; two names of one file have the same number."""
    ignored: Mapping[str, int]
    """Kinds of files that are not read -> how many there are."""
    faulty: Mapping[str, str]
    """Those kinds of them that are faults -> the relative path of one."""
    texts: list[str]
    """Relative paths of files that end in .txt, which are counted as ignored too."""


def image_tree(base: Path) -> Tree:
    """Find the image files below a folder; links are followed, hidden files and folders are left out.

    Each folder is read once, under its own name before that of a link to it, so that links in circles end. A
    file that has several names counts under each. Pipes, devices and the like are counted, not opened.
    """
    images, files, ignored, faulty = list[str](), list[int](), Counter[str](), dict[str, str]()
    texts = list[str]()
    seen, waiting = set[tuple[int, int]](), deque([""])
    while waiting:
        folder = waiting.popleft()
        try:
            found = os.stat(base / folder)
            entries = [entry for entry in os.scandir(base / folder) if not entry.name.startswith(".")]
        except OSError:
            ignored[UNREADABLE] += 1
            faulty.setdefault(UNREADABLE, folder)
            continue
        if (found.st_dev, found.st_ino) in seen:
            ignored[AGAIN] += 1
            continue
        seen.add((found.st_dev, found.st_ino))
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = f"{folder}/{entry.name}".lstrip("/")
            if is_folder(entry):
                (waiting.append if entry.is_symlink() else waiting.appendleft)(name)
            elif kind := other_kind(entry):
                ignored[kind] += 1
                if kind == TEXTS:
                    texts.append(name)
                if kind in FAULTY:
                    faulty.setdefault(kind, name)
            else:
                images.append(name)
                files.append(file_number(entry, found.st_dev))
    return Tree(sorted(images), np.array(files, np.int64), ignored, faulty, texts)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """True for a folder and for a link to one; a link in a circle is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def other_kind(entry: os.DirEntry[str]) -> str:
    """Name the kind of an entry that is not an image file, in the plural; "" for an image file."""
    try:
        if not entry.is_file():
            kind = KINDS.get(stat.S_IFMT(os.stat(entry.path).st_mode))
            return f"{kind}s" if kind else "files of another kind"
    except OSError:
        return NOWHERE
    if is_image(entry.name):
        return ""
    ending = os.path.splitext(entry.name)[1].lower()
    return f"files of {ending}" if ending else "files without an ending"


def kinds_of(files: Iterable[str]) -> Counter[str]:
    """Count files that are no images by their kinds, as `remarks` names them: "files of .txt"."""
    return Counter(f"files of {os.path.splitext(file)[1].lower()}" for file in files)


def is_image(name: str) -> bool:
    """Return True for a name that is not hidden and ends as images do, in upper or lower case."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def file_number(entry: os.DirEntry[str], device: int) -> int:
    """Compute a number of the file that a name leads to, the same for all of its names."""
    if entry.is_symlink():
        found = entry.stat()
        return hash((found.st_dev, found.st_ino))
    return hash((device, entry.inode()))


def remarks(base: Path, trees: Sequence[Tree], *, read: Mapping[str, int] = {}) -> list[str]:
    """Describe for the user what is not read below the folders of a set, and which files count twice.

    read: kinds of files -> how many of them are read after all, such as captions.
    Returns a sentence each; none where every file is an image of its own.
    """
    ignored = sum((Counter(tree.ignored) for tree in trees), Counter[str]()) - Counter(read)
    files = np.concatenate([tree.files for tree in trees])
    repeated = len(files) - len(np.unique(files))
    found = []
    if ignored:
        first = {kind: name for tree in reversed(trees) for kind, name in tree.faulty.items()}
        such = {kind: f" such as {name}" for kind, name in first.items()}
        kinds = [f"{kind}{such.get(kind, '')} ({count:,})" for kind, count in ignored.most_common()]
        found.append(f"Not read in {base}: {shortened(kinds, ' kinds')}.")
    if repeated:
        found.append(
            f"In {base}, images that have another name there too ({repeated:,}): each name counts as one,"
            " so that one file may be in both splits."
        )
    return found


def shortened(words: Sequence[str], kind: str = "") -> str:
    """Join words for a message, at most six of them; the others are counted, as "and 3 more" of a kind."""
    rest = f" and {len(words) - NAMED} more{kind}" if len(words) > NAMED else ""
    return ", ".join(words[:NAMED]) + rest
