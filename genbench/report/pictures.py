"""The PNG files of runs as a page shows them, and an account of those that it does not show."""

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from genbench.records.untrusted import read_regular

__all__ = ["Picture", "Pictures", "Place", "embedded", "pictures_of", "rank", "read_picture"]

KINDS = ("samples", "reconstructions", "neighbours", "trajectory", "forward", "interpolation")
"""In the order in which they are shown; others follow."""
STEP = re.compile(r"(?P<kind>.+)_(?P<images>\d+)\.png")
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
"""First bytes of every PNG; its width and its height follow, four bytes each."""
PICTURE_BYTES = 32 * 2**20  # of one file
PAGE_BYTES = 256 * 2**20  # of all pictures of a page, which browsers hold in memory
PIXELS = 2**27  # what a browser unpacks, in four bytes each, from far fewer bytes

Place = Callable[[bytes], str]
"""The content of a picture -> what its `src` is."""


class Picture(NamedTuple):
    """One picture of a run."""

    kind: str
    path: Path


class Pictures:
    """Brings the pictures of a page in, as far as they are pictures and find room."""

    def __init__(self, place: Place) -> None:
        self.place, self.left = place, PAGE_BYTES
        self.refused: dict[Path, str] = {}
        """Files that are not shown -> why."""

    def source(self, path: Path, run: Path) -> str | None:
        """Return the `src` of a picture, None where it is not shown. run: its directory."""
        try:
            content = read_picture(path, run)
            if len(content) > self.left:
                raise ValueError(
                    f"{path} has no room: the pictures of a page have {PAGE_BYTES:,} bytes at most. Show "
                    "fewer runs (--filter)"
                )
        except (OSError, ValueError) as error:
            self.refused[path] = str(error)
            return None
        self.left -= len(content)
        return self.place(content)


def pictures_of(run: Path) -> list[Picture]:
    """The last picture of each kind of a run."""
    last: dict[str, tuple[int, Path]] = {}
    for path in (run / "samples").glob("*.png"):
        match = STEP.fullmatch(path.name)
        if match and (images := int(match["images"])) >= last.get(match["kind"], (-1,))[0]:
            last[match["kind"]] = images, path
    return [Picture(kind, last[kind][1]) for kind in sorted(last, key=rank)]


def rank(kind: str) -> tuple[int, str]:
    """The sort key of a kind of pictures on the page."""
    return KINDS.index(kind) if kind in KINDS else len(KINDS), kind


def read_picture(path: Path, run: Path) -> bytes:
    """The content of a PNG file of a run.

    Raises ValueError on a file that is no PNG, lies outside of the run, or is too large to be shown; OSError
    where it cannot be read.
    """
    content = read_regular(path, at_most=PICTURE_BYTES, inside=run)
    start = len(PNG)
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (start, start + 4))
    if not content.startswith(PNG) or not width or not height:
        raise ValueError(f"{path} is no PNG: put one there, or take it away")
    if width * height > PIXELS:
        raise ValueError(
            f"{path} has {width} x {height} pixels, a page shows up to {PIXELS:,}: put a smaller one there"
        )
    return content


def embedded(content: bytes) -> str:
    """A PNG as text that a page can hold."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
