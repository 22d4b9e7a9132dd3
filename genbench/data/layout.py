"""The layout of an image folder: which folders are splits and which are classes, by names alone."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from genbench.data.source import SPLITS

__all__ = ["HELD_OUT", "TRAIN", "class_fault", "deep_splits", "named", "tops"]

TRAIN = ("train", "training")
HELD_OUT = ("test", "testing", "val", "valid", "validation", "dev", "eval")
"""Names of folders of test images, in any case; of several the first one is taken."""


def named(folders: Sequence[str], names: Sequence[str], root: Path) -> str | None:
    """Find the folder that bears the first of some names, in upper or lower case; None where there is none.

    folders: their names in the folder `root`. Raises ValueError on two that differ by case alone.
    """
    for name in names:
        found = [folder for folder in folders if folder.lower() == name]
        if len(found) > 1:
            raise ValueError(
                f"{root} holds {' and '.join(found)}, which differ by case alone: give them different names, "
                "or put their images into one"
            )
        if found:
            return found[0]
    return None


def tops(files: Iterable[str]) -> set[str]:
    """Return the first folders on the way to each of some relative paths; "" for a file in no folder."""
    return {file.partition("/")[0] if "/" in file else "" for file in files}


def class_fault(folders: Mapping[str, Path]) -> str:
    """Say why folders do not sort images into classes; "" where they do: two or more, none in another.

    folders: relative to that of a split -> the path of an image in it.
    """
    if "" in folders:
        image = folders[""]
        return f"images lie directly in {image.parent}, such as {image.name}"
    deep = next((folder for folder in folders if "/" in folder), None)
    if deep is not None:
        return f"{folders[deep]} lies in {deep}, a folder inside another, and classes have no folders in them"
    if len(folders) == 1:
        return f"all lie in one folder, {next(iter(folders.values())).parent}"
    return ""


def deep_splits(folders: Iterable[str]) -> str | None:
    """Find a folder that is named like a split and lies in another, among relative paths: such as
    flowers/train, where the folder above the set was given; None where there is none.
    """
    names = {*TRAIN, *HELD_OUT, *SPLITS}
    for folder in sorted(folders):
        parts = folder.split("/")
        for depth, part in enumerate(parts[1:], start=1):
            if part.lower() in names:
                return os.path.join(*parts[: depth + 1])
    return None
