"""Image files of other people, opened by Pillow: each is read as it is meant, or refused by its path."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from genbench.data.resizing import Resize, lanczos
from genbench.records.untrusted_files import open_regular
from genbench.runtime.disk import is_machine_fault

__all__ = ["COLOURS", "GREYS_16", "ImageFileError", "large_images", "load", "opened"]

GREYS_16 = ("I;16", "I;16B", "I;16L")
"""Pillow's modes of grey images with levels from 0 to 65,535."""
COLOURS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", *GREYS_16)
"""Pillow's modes that become grey or RGB with 8 bits in one way only."""


class ImageFileError(ValueError):
    """An image file that cannot be read, or not without a loss; the message names it, the reason and the
    remedy.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be read ({reason}); repair it, or remove it from the folder")


@contextmanager
def opened(path: Path, content: bytes | None = None) -> Iterator[Image.Image]:
    """Open an image file, by its content whatever its ending, for the length of a `with` block that decodes
    it. content: its bytes, of a file inside of another one, which `path` only names.

    Raises ImageFileError where it is missing, damaged or no image, has more than 8 bits a channel in colour,
    other numbers than integers, several frames, or more pixels than Pillow unpacks; a fault of the machine or
    a lack of memory as it is.
    """
    try:
        with as_file(path, content) as file, Image.open(file) as image:
            if fault := fault_of(image):
                raise ImageFileError(path, fault)
            yield image
    except (ImageFileError, MemoryError):
        raise
    # On damage Pillow's decoders raise a dozen types, SyntaxError and zlib's among them.
    except Exception as error:
        if isinstance(error, OSError) and is_machine_fault(error):
            raise
        raise ImageFileError(path, reason_of(error, path, content)) from error


def fault_of(image: ImageFile) -> str:
    """Say why an image that is opened would not be read as it is meant; "" where nothing is lost."""
    frames = getattr(image, "n_frames", 1)  # which only formats with frames have
    # The first image of an MPO, as telephones write it, is the photograph; the others are previews of it.
    if frames > 1 and image.format != "MPO":
        return f"it has {frames} frames: save each as an image of its own"
    if image.mode not in COLOURS:
        return f"its pixels are of mode {image.mode}: scale them to 0 .. 255, and save it with 8 bits"
    layouts = [str(tile.args) for tile in image.tile]
    # Pillow would take the upper 8 bits of each channel, and 12 bits for 16.
    if image.mode not in GREYS_16 and any(";16" in layout for layout in layouts):
        return "it is a colour image of 16 bits a channel: save it with 8 bits"
    if any(";12" in layout for layout in layouts):
        return "it has 12 bits a pixel: save it with 8 or 16 bits"
    return ""


def as_file(path: Path, content: bytes | None) -> BytesIO | BufferedReader:
    """Return `content`, or the regular file at `path` where it is None, as a file that is open for reading.
    Raises as `open_regular` does.
    """
    return open_regular(path) if content is None else BytesIO(content)


def reason_of(error: Exception, path: Path, content: bytes | None = None) -> str:
    """Say in our words what an error of the system, or of Pillow's decoders, means for a file, or for its
    content where that lies inside of another one.
    """
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels"
    if isinstance(error, UnidentifiedImageError):
        size = path.stat().st_size if content is None else len(content)
        return "it is not an image" if size else "it is empty"
    if isinstance(error, OSError) and error.strerror is not None:
        return error.strerror
    # open_regular's own words, which name pipes and devices; those of decoders speak of their insides.
    return str(error) if str(error).startswith(str(path)) else "it is incomplete or damaged"


@contextmanager
def large_images() -> Iterator[None]:
    """Read photographs of 100 megapixels in the block without Pillow's warning; it refuses them from twice
    its limit on. Of the whole process, so not for a generator to yield in.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def load(
    path: Path, shape: tuple[int, int, int], resize: Resize = lanczos, *, content: bytes | None = None
) -> np.ndarray:
    """Read an image file, and crop and resize it: (H, W, C) uint8 for shape (C, H, W).

    resize: one of `genbench.data.resizing`, by default the centre square by Lanczos. content: see `opened`.
    Raises ImageFileError, a ValueError that names the file, where it is missing, damaged or no image.
    """
    c, h, w = shape
    with opened(path, content) as found:
        image = flatten(ImageOps.exif_transpose(found), "L" if c == 1 else "RGB")
    return np.asarray(resize(image, (w, h))).reshape(h, w, c)


def flatten(image: Image.Image, mode: str) -> Image.Image:
    """Convert an image of a mode that `opened` gives to "L" (grey) or "RGB"; transparent parts become
    white.
    """
    if image.mode in GREYS_16:  # which Pillow would clip at 255
        levels = (np.asarray(image).astype(np.int64) + 128) // 257
        return Image.fromarray(levels.astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert(mode)
