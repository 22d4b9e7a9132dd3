"""Animations as the libraries of trackers take them: as a GIF, or as the last of their frames."""

import io
from pathlib import Path

from PIL import Image, ImageSequence

__all__ = ["gif_of", "is_moving", "last_frame"]

MOVING = (".gif", ".webp")


def is_moving(path: Path) -> bool:
    """Return True for the file of an animation, by its ending."""
    return path.suffix.lower() in MOVING


def gif_of(path: Path) -> bytes:
    """Return the content of an animation file, GIF or WebP, as a GIF of the same frames and times."""
    if path.suffix.lower() == ".gif":
        return path.read_bytes()
    with Image.open(path) as image:
        frames, times = [], []
        for frame in ImageSequence.Iterator(image):
            frame.load()  # which reads the time of this frame
            frames.append(grey_if_grey(frame.convert("RGB")))
            times.append(frame.info.get("duration", 0))
    made = io.BytesIO()
    frames[0].save(made, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
    return made.getvalue()


def grey_if_grey(image: Image.Image) -> Image.Image:
    """Return an RGB image in mode L where it is grey, which WebP does not store: a GIF then is exact."""
    red, green, blue = (band.tobytes() for band in image.split())
    return image.convert("L") if red == green == blue else image


def last_frame(path: Path) -> Image.Image:
    """Return the last frame of an animation file, or the image of another picture file, in RGB."""
    with Image.open(path) as image:
        image.seek(getattr(image, "n_frames", 1) - 1)
        return image.convert("RGB")
