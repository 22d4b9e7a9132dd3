"""The image files below a folder, and an account of what else lies there."""

import os
import stat
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genbench.records.untrusted import KINDS

__all__ = ["SUFFIXES", "Tree", "image_tree", "remarks"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
NOWHERE, UNREADABLE = "links that lead nowhere", "folders that cannot be read"
AGAIN = "folders that a link leads to once more"
NAMED = 6  # kinds of files that are named before the rest is counted


class Tree(NamedTuple):
    """The image files below a folder, and counts of all else there."""

    images: list[str]
    """Relative paths of regular files whose names end as images do, sorted."""
    files: np.ndarray
    """Numbers of the files that these names lead to: int64, equal for equal files, in no order."""
    passed_over: Mapping[str, int]
    """Kinds of what is not read -> how many there are."""


def image_tree(base: Path) -> Tree:
    """Find the image files below a folder; links are followed, hidden files and folders are left out.

    Each folder is read once, under its own name before that of a link to it, so that links in circles end. A
    file that has several names counts under each. Pipes, devices and the like are counted, not opened.
    """
    images, files, passed_over = list[str](), list[int](), Counter[str]()
    seen, waiting = set[tuple[int, int]](), deque([""])
    while waiting:
        folder = waiting.popleft()
        try:
            found = os.stat(base / folder)
            entries = [entry for entry in os.scandir(base / folder) if not entry.name.startswith(".")]
        except OSError:
            passed_over[UNREADABLE] += 1
            continue
        if (found.st_dev, found.st_ino) in seen:
            passed_over[AGAIN] += 1
            continue
        seen.add((found.st_dev, found.st_ino))
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = f"{folder}/{entry.name}".lstrip("/")
            if is_folder(entry):
                (waiting.append if entry.is_symlink() else waiting.appendleft)(name)
            elif kind := other_kind(entry):
                passed_over[kind] += 1
            else:
                images.append(name)
                files.append(number(entry, found.st_dev))
    return Tree(sorted(images), np.array(files, np.int64), passed_over)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """True for a folder and a link to one; a link in a circle is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def other_kind(entry: os.DirEntry[str]) -> str:
    """The kind of what is no image file, in the plural; empty for an image file."""
    try:
        if not entry.is_file():
            kind = KINDS.get(stat.S_IFMT(os.stat(entry.path).st_mode))
            return f"{kind}s" if kind else "files of another kind"
    except OSError:
        return NOWHERE
    ending = os.path.splitext(entry.name)[1].lower()
    return "" if ending in SUFFIXES else f"files of {ending}" if ending else "files without an ending"


def number(entry: os.DirEntry[str], device: int) -> int:
    """A number of the file that a name leads to, the same for all of its names."""
    if entry.is_symlink():
        found = entry.stat()
        return hash((found.st_dev, found.st_ino))
    return hash((device, entry.inode()))


def remarks(base: Path, trees: Sequence[Tree]) -> list[str]:
    """Remarks for the user on the folders of a set, a sentence each; none where all of it is images."""
    passed_over = sum((Counter(tree.passed_over) for tree in trees), Counter[str]())
    files = np.concatenate([tree.files for tree in trees])
    repeated = len(files) - len(np.unique(files))
    found = []
    if passed_over:
        kinds = [f"{kind} ({count:,})" for kind, count in passed_over.most_common()]
        rest = f" and {len(kinds) - NAMED} more kinds" if len(kinds) > NAMED else ""
        found.append(f"Not read in {base}: {', '.join(kinds[:NAMED])}{rest}.")
    if repeated:
        found.append(
            f"In {base}, images that have another name there too ({repeated:,}): each name counts as one,"
            " so that one file may be in both splits."
        )
    return found
