"""Animations of samples that come out of noise, as WebP, GIF or MP4: a grid of the samples in each frame,
small images enlarged; for `genbench animate` and the pictures of a run.
"""

import math
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from genbench.data import to_uint8
from genbench.evaluation.pictures import labelled, tile
from genbench.evaluation.sampling_mode import sampling_mode
from genbench.generator import Generator, Rng, Trajectory, Y
from genbench.records.files import atomic_file
from genbench.runtime import rng
from genbench.runtime.context import Context
from genbench.runtime.device import make_repeatable
from genbench.runtime.memory import check_memory, memory_for
from genbench.runtime.printable import counted, flat

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "FRAMES",
    "Format",
    "animated",
    "animation_of",
    "check_animation",
    "check_ffmpeg",
    "formats_of",
    "sample_count",
    "save_animation",
]

Format = Literal["webp", "gif", "mp4"]
"""Formats in which a run keeps its animation; mp4 is beside a WebP, which pages and trackers show."""

FRAMES = 36  # states that an animation of a run shows
SECONDS = 3.0  # from noise to samples
HOLD = 2.0  # seconds that the samples stay before it begins again
RATE = 24  # frames a second of a video
VISIBLE = 96  # pixels; smaller images are enlarged to at least this
SAMPLES, FEWEST = 16, 4  # of an animation of a run
NUMBERS = 27_648  # of a frame, 9 RGB images of 32x32: noise cannot be compressed
ENCODING = 300  # seconds that ffmpeg may take


def sample_count(shape: tuple[int, int, int]) -> int:
    """Choose how many samples of a shape (C, H, W) an animation of a run shows, a square number from 4 to 16:
    fewer of large images, since the noise in its first frames cannot be compressed.
    """
    side = int((NUMBERS / math.prod(shape)) ** 0.5)
    return min(max(side * side, FEWEST), SAMPLES)


def animation_of(model: Generator, n: int, y: Y, *, frames: int, context: Context) -> Tensor:
    """Draw n samples of any model from the seed of a context, and return states from noise to samples, as
    `animated` does. Raises ValueError where the model draws in one step, OutOfMemory.
    """
    if not isinstance(model, Trajectory):
        raise ValueError(
            "this model draws its samples in one step, so there is nothing to animate: give a run of a model "
            "that draws step by step, such as model=ddpm"
        )
    check_memory("--n and --frames", n, frames * math.prod(model.shape))
    make_repeatable(context.device)
    work = f"drawing {counted(n, 'image')} at once (--n) on {context.device}"
    with rng.fork(context.device), memory_for(work, "take a smaller --n"):
        return animated(model, n, y, stream=context.generator("animate"), frames=frames)


@torch.no_grad()
def animated(model: Trajectory, n: int, y: Y, *, stream: Rng, frames: int = FRAMES) -> Tensor:
    """Draw n samples step by step, of n labels or texts y, or None, and return states from noise to samples:
    (frames, n, C, H, W) uint8 on the host, evenly spaced over the steps.
    """
    assert isinstance(model, Generator)  # a trajectory is what some of them have
    with sampling_mode(model):
        states = model.trajectory(n, y, rng=stream, frames=frames)
    return to_uint8(states).cpu()


def save_animation(
    states: Tensor, path: Path, *, columns: int | None = None, labels: Sequence[str] = ()
) -> None:
    """Write states of samples, (F, N, C, H, W) uint8, as an animation that repeats, whole or not at all.

    It takes 3 seconds from the first state to the last, which then stays for 2. The file's ending decides:
    .webp (lossless), .gif (exact for grey images, 256 colours a frame of others), .mp4 (by ffmpeg).
    columns: near a square by default. labels: a text in front of each row, or none. Raises ValueError on
    other endings, OSError where ffmpeg fails.
    """
    check_animation(path)
    columns = -(-states.shape[1] // int(states.shape[1] ** 0.5)) if columns is None else columns
    scale = -(-VISIBLE // min(states.shape[-2:]))
    pictures = [tile(state, columns, scale) for state in states]
    if labels:
        pictures = [np.asarray(labelled(each, labels)) for each in frames_of(pictures)]
    with atomic_file(path) as file:
        WRITERS[path.suffix.lower()](pictures, file)


def write_webp(pictures: list[np.ndarray], file: IO[bytes]) -> None:
    """Write frames, (H, W) or (H, W, 3) uint8 each, as a lossless WebP that repeats without end."""
    first, *others = frames_of(pictures)
    durations = milliseconds(len(pictures))
    first.save(
        file,
        format="WEBP",
        save_all=True,
        append_images=others,
        duration=durations,
        loop=0,
        lossless=True,
        quality=50,  # of the search for a small file, not of the image
        method=2,
    )


def write_gif(pictures: list[np.ndarray], file: IO[bytes]) -> None:
    """Write frames, (H, W) or (H, W, 3) uint8 each, as a GIF that repeats without end. Each frame of a colour
    animation has a palette of its own.
    """
    first, *others = frames_of(pictures)
    durations = milliseconds(len(pictures))
    first.save(file, format="GIF", save_all=True, append_images=others, duration=durations, loop=0)


def write_mp4(pictures: list[np.ndarray], file: IO[bytes]) -> None:
    """Write frames, (H, W) or (H, W, 3) uint8 each, as an MP4 (H.264 where ffmpeg has an encoder of it): the
    raw frames go to ffmpeg's standard input. Raises OSError, with its last line, where ffmpeg fails.
    """
    colour = [np.atleast_3d(picture).repeat(3 if picture.ndim == 2 else 1, axis=2) for picture in pictures]
    # Players want even sizes, since colours are stored at half of them.
    even = [np.pad(each, [(0, each.shape[0] % 2), (0, each.shape[1] % 2), (0, 0)]) for each in colour]
    times = [round(each / 1000 * RATE) for each in milliseconds(len(even))]
    raw = b"".join(each.tobytes() * count for each, count in zip(even, times, strict=True))
    height, width = even[0].shape[:2]
    with TemporaryDirectory() as folder:
        made = Path(folder) / "animation.mp4"  # ffmpeg goes back in its file at the end
        command = [check_ffmpeg(), *f"-loglevel error -f rawvideo -pix_fmt rgb24 -r {RATE}".split()]
        command += ["-s", f"{width}x{height}", "-i", "-", *["-pix_fmt", "yuv420p", "-movflags", "+faststart"]]
        command += ["-y", str(made)]
        done = subprocess.run(command, input=raw, capture_output=True, check=False, timeout=ENCODING)
        if done.returncode or not made.is_file():
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise OSError(f"ffmpeg wrote no video: {flat(said[-1]) if said else 'it says nothing'}")
        file.write(made.read_bytes())


WRITERS: Mapping[str, Callable[[list[np.ndarray], IO[bytes]], None]] = {
    ".webp": write_webp,
    ".gif": write_gif,
    ".mp4": write_mp4,
}
"""Endings of files -> what writes frames into them."""


def formats_of(chosen: Format | None) -> list[str]:
    """Return the endings of the files of a run's animation: none where it is off, two for mp4, since pages
    and trackers show the WebP beside it.
    """
    return {None: [], "webp": ["webp"], "gif": ["gif"], "mp4": ["webp", "mp4"]}[chosen]


def check_animation(path: Path) -> None:
    """Raise ValueError where the ending of a file names no format of animations, or one that needs ffmpeg,
    which is not there. Verbs call it before any work.
    """
    if path.suffix.lower() not in WRITERS:
        raise ValueError(f"--out is {path}; its ending must be one of {', '.join(WRITERS)}")
    if path.suffix.lower() == ".mp4":
        check_ffmpeg()


def check_ffmpeg() -> str:
    """Return the path of ffmpeg, the program that writes MP4. Raises ValueError where there is none."""
    found = shutil.which("ffmpeg")
    if found is None:
        raise ValueError(
            "MP4 needs the program ffmpeg, which is not found in PATH: install it, or take webp or gif"
        )
    return found


def frames_of(pictures: list[np.ndarray]) -> "list[Image]":
    """Return frames as images of Pillow, grey or RGB."""
    from PIL import Image

    return [Image.fromarray(picture) for picture in pictures]


def milliseconds(frames: int) -> list[int]:
    """Return how long each of some frames is shown, the last one longer. Multiples of 10, as GIF has them."""
    each = max(round(SECONDS * 100 / frames), 2) * 10  # browsers slow down frames of less than 20 ms
    return [each] * (frames - 1) + [round(HOLD * 1000)]
