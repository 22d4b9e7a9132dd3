"""The pictures of runs as a page shows them, PNG files and animations, and an account of those that it does
not show.
"""

import base64
import re
import struct
from collections.abc import Callable
from pathlib import Path

from genbench.records.untrusted_files import read_regular

__all__ = [
    "MOVING",
    "PICTURE_BYTES",
    "PIXELS",
    "STILL",
    "Pictures",
    "Place",
    "embedded",
    "heading",
    "media_type",
    "pictures_of",
    "rank",
    "size_of",
]

KINDS = {
    "samples": "Samples",
    "reconstructions": "Reconstructions: rows of test images, each above the images that the model rebuilds",
    "neighbours": "Samples closest to training images, above the nearest ones in pixels and in features",
    "animation": "Animation: samples coming out of noise",
    "trajectory": "Trajectory: samples on their way from noise to image",
    "forward": "Forward process: training images on their way to noise",
    "interpolation": "Interpolations between two codes",
    "codes": "Codes of test images: two first principal components, coloured by class",
}
"""Kinds of pictures with their headings, in the order in which they are shown; others follow by name."""
STEP = re.compile(r"(?P<kind>.+)_(?P<images>\d+)\.(png|webp|gif)")
MOVING = "animation"
STILL = "trajectory"
"""The kind that moves, and the one that is shown in its place where a reader wants no motion."""
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"  # its width and its height follow, four bytes each
GIF, WEBP = b"GIF89a", re.compile(rb"RIFF....WEBPVP8X", re.DOTALL)
PICTURE_BYTES = 32 * 2**20  # of one file
PAGE_BYTES = 256 * 2**20  # of all pictures of a page, which browsers hold in memory
PIXELS = 2**27  # of one picture: a small file may unpack to many, and browsers hold four bytes of each

Place = Callable[[bytes], str]  # the content of a picture -> its `src` in the page


class Pictures:
    """Brings the pictures of one page in, up to PAGE_BYTES in all, and records those that it refuses.

    place: turns the bytes of a picture into its `src`, as data in the page or as a file beside it.
    """

    def __init__(self, place: Place) -> None:
        self.place, self.left = place, PAGE_BYTES
        self.refused: dict[Path, str] = {}  # files that are not shown -> reason

    def source(self, path: Path, run: Path) -> str | None:
        """Return the `src` of a picture below a run's directory, or None and record why it is not shown.

        Such are files that do not hold what their ending says, lie outside of the run, or are too large.
        """
        try:
            content = read_regular(path, at_most=PICTURE_BYTES, inside=run)
            width, height = size_of(content, path.suffix)
            if not width or not height:
                kind = path.suffix[1:].upper() if path.suffix != ".webp" else "moving WebP"
                raise ValueError(f"{path} is not a {kind} file: replace it, or remove it")
            if width * height > PIXELS:
                raise ValueError(
                    f"{path} has {width} x {height} pixels: replace it by one of at most {PIXELS:,}"
                )
            if len(content) > self.left:
                raise ValueError(
                    f"{path} does not fit: the pictures of a page have {PAGE_BYTES:,} bytes at most. Show "
                    "fewer runs (--filter)"
                )
        except (OSError, ValueError) as error:
            self.refused[path] = str(error)
            return None
        self.left -= len(content)
        return self.place(content)


def size_of(content: bytes, suffix: str) -> tuple[int, int]:
    """Return width and height as the head of a file says that ends in .png, .gif or .webp, as animations are
    stored: (0, 0) where it is none of these.
    """
    head = content[:32].ljust(32, b"\0")
    if suffix == ".png" and head.startswith(PNG):
        width, height = struct.unpack_from(">II", head, len(PNG))
    elif suffix == ".gif" and head.startswith(GIF):
        width, height = struct.unpack_from("<HH", head, len(GIF))
    elif suffix == ".webp" and WEBP.match(head):  # three bytes each, of one less
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    else:
        width = height = 0
    return width, height


def media_type(content: bytes) -> str:
    """Return the type of a picture that `Pictures` lets pass, which is also its ending: png, gif or webp."""
    return "png" if content.startswith(PNG) else "gif" if content.startswith(GIF) else "webp"


def pictures_of(run: Path) -> dict[str, Path]:
    """Kind -> the file of that kind in a run's `samples` that was made after the most training images.

    samples_000000512.png is of the kind `samples`; kinds come in the order of the page, see `rank`.
    """
    last: dict[str, tuple[int, Path]] = {}
    for path in (run / "samples").glob("*_*"):
        match = STEP.fullmatch(path.name)
        # The ending of an animation is its own: else a run could pass any kind off as one.
        if match and (path.suffix == ".png") == (match["kind"] == MOVING):
            continue
        if match and (images := int(match["images"])) >= last.get(match["kind"], (-1,))[0]:
            last[match["kind"]] = images, path
    return {kind: last[kind][1] for kind in sorted(last, key=rank)}


def rank(kind: str) -> tuple[int, str]:
    """The sort key of a kind of pictures: known kinds in the order of KINDS, then others by name."""
    return [*KINDS].index(kind) if kind in KINDS else len(KINDS), kind


def heading(kind: str) -> str:
    """Return the heading of a kind of pictures; one that nobody here knows goes by its name."""
    return KINDS.get(kind, kind.replace("_", " "))


def embedded(content: bytes) -> str:
    """A picture as a data URL, which keeps the page in one file."""
    return f"data:image/{media_type(content)};base64,{base64.b64encode(content).decode()}"
