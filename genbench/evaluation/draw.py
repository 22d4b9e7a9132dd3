"""Images of a trained model as files: samples, completed images, and variations of one image, each as a PNG,
in a grid and in an .npz; for `genbench sample`.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genbench.data import to_float, to_uint8
from genbench.data.image_reading import load
from genbench.evaluation.gallery import CLASSES
from genbench.evaluation.pictures import GREY, save_grid
from genbench.evaluation.prompts import Asked
from genbench.evaluation.samples import batches
from genbench.evaluation.sampling_mode import sampling_mode
from genbench.generator import Edits, Generator, Inpaints, Rng, Y
from genbench.records.files import atomic_file
from genbench.runtime import rng
from genbench.runtime.context import Context
from genbench.runtime.device import keep_memory, make_repeatable
from genbench.runtime.disk import check_space, naming
from genbench.runtime.memory import FREE, check_memory, memory_for
from genbench.runtime.printable import counted

__all__ = [
    "Drawing",
    "check_places",
    "choose",
    "completions",
    "drawn",
    "pixels",
    "samples",
    "variations",
    "write",
]

GRID = 256  # the most images of a grid
ACROSS = 16  # the most images of one prompt in a row of the grid
BLOCK = 4096  # bytes of the smallest file on most disks
WHITE = 128  # a mask's grey level from which on a pixel is drawn anew


class Drawing(NamedTuple):
    """A function that draws images on demand, with the images that the grid shows before them, such as the
    one to be completed; of plain samples there are none.
    """

    draw: Callable[[int, Y, Rng], Tensor]
    """(n, y of n rows or None, rng) -> (n, C, H, W) in [-1, 1]."""
    given: Tensor
    """Images that stand before them in the grid: (G, C, H, W) uint8, G >= 0."""


def choose(
    model: Generator, *, inpaint: Path | None, mask: Path | None, vary: Path | None, strength: float | None
) -> Drawing:
    """Choose samples, completions or variations by the options of `genbench sample`: paths of an image, a
    mask, an image to vary, and how far.
    Raises ValueError where the options do not go together, or the model cannot do it.
    """
    if (inpaint is None) != (mask is None):
        raise ValueError("--inpaint IMAGE and --mask MASK must be given together")
    if inpaint is not None and vary is not None:
        raise ValueError("--inpaint and --vary exclude each other: give one of them")
    if strength is not None and vary is None:
        raise ValueError("--strength says how far --vary IMAGE goes: give both")
    if inpaint is not None and mask is not None:
        if not isinstance(model, Inpaints):
            raise unable("--inpaint")
        return completions(model, inpaint, mask)
    if vary is not None:
        if not isinstance(model, Edits):
            raise unable("--vary")
        return variations(model, vary, 0.5 if strength is None else strength)
    return samples(model)


def unable(option: str) -> ValueError:
    """Make the error for an option of `genbench sample` that a model without editing, such as a GAN, does not
    support, with the remedy.
    """
    return ValueError(
        f"{option} needs a model that edits images, such as model=ddpm, and this one does not: "
        "without --inpaint, --mask, --vary and --strength it draws images of its own"
    )


def samples(model: Generator) -> Drawing:
    """Draw images by the model itself, from noise, as the evaluation does: the function of (n, y, rng) is its
    `sample`, and the grid shows nothing before them.
    """
    nothing, mode = torch.zeros(0, *model.shape, dtype=torch.uint8), sampling_mode(model)

    def draw(n: int, y: Y, stream: Rng) -> Tensor:
        with mode:
            return model.sample(n, y, rng=stream)

    return Drawing(draw, nothing)


def completions(model: Inpaints, image: Path, mask: Path) -> Drawing:
    """Draw one image again and again where a mask is white: the function of (n, y, rng) completes n copies,
    and the grid shows the image and its masked copy before them.
    image, mask: files, in any size. Raises ValueError where the mask has no white pixel.
    """
    given, mode = read(image, model.shape), sampling_mode(model)
    wanted = read(mask, (1, *model.shape[1:])) >= WHITE
    if not bool(wanted.any()):
        raise ValueError(f"--mask {mask} has no white pixel: white marks the pixels to draw")

    def draw(n: int, y: Y, stream: Rng) -> Tensor:
        x, drawn = repeated(to_float(given), n, stream.device), repeated(wanted, n, stream.device)
        with mode:
            return model.inpaint(x, drawn, y, rng=stream)

    return Drawing(draw, torch.cat([given, given.masked_fill(wanted, GREY)]))


def variations(model: Edits, image: Path, strength: float) -> Drawing:
    """Draw images near the one of a file, which the grid shows before them.

    strength: in (0, 1], near 0 the image itself, at 1 samples that do not depend on it. Raises ValueError on
    any other.
    """
    if not 0 < strength <= 1:
        raise ValueError(f"--strength is {strength}; it must be above 0 (the image itself) and at most 1")
    given, mode = read(image, model.shape), sampling_mode(model)

    def draw(n: int, y: Y, stream: Rng) -> Tensor:
        x = repeated(to_float(given), n, stream.device)
        with mode:
            return model.vary(x, y, strength=strength, rng=stream)

    return Drawing(draw, given)


def read(path: Path, shape: tuple[int, int, int]) -> Tensor:
    """Read an image file, RGB or grey of any size, in a model's shape (C, H, W), cropped and resized as image
    folders are: (1, C, H, W) uint8. Raises FileNotFoundError.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file: give an image")
    # Copied: torch warns of arrays that cannot be written, as Pillow's are.
    return torch.from_numpy(load(path, shape).copy()).permute(2, 0, 1)[None]


def repeated(tensor: Tensor, n: int, device: torch.device) -> Tensor:
    """Repeat one image n times on a device, (1, ..) -> (n, ..), each copy in memory of its own, as a batch of
    different images is.
    """
    return tensor.to(device).expand(n, *tensor.shape[1:]).contiguous()


def check_places(n: int, shape: tuple[int, int, int], folder: Path) -> None:
    """Raise ValueError where n images of a shape (C, H, W) find no room: in memory, which holds all of them
    for the grid and the arrays, or on the disk of the folder, with a file each. Called before any is drawn.
    """
    pixels = math.prod(shape)
    check_memory("--n", n, 3 * pixels)  # as they are drawn, in one piece, and with channels last
    check_space(folder, n * (pixels + BLOCK), f"{n} images", "give a smaller --n, or another --out")


@torch.no_grad()
def drawn(
    drawing: Drawing, n: int, y: Y, *, batch_size: int, context: Context
) -> Iterator[tuple[int, Tensor]]:
    """Draw n images of n labels or texts y, or None; yield the number of the first image of each batch, with
    the batch (B, C, H, W) uint8 on the host.

    Batches and their random numbers are the evaluation's: with its seed, batch size, device and n an
    unconditional model draws the very images that were measured.
    """
    device = context.device
    make_repeatable(device)  # as in a run, or the images would differ in their last digits
    keep_memory()
    with rng.fork(device), context.progress.bar("drawing", n) as bar:
        for start, count in batches(n, batch_size):
            stream = context.generator("evaluate", start)
            remedy = FREE if count == 1 else f"take --batch-size {count // 2} (the images are then others)"
            work = f"drawing {counted(count, 'image')} at once (--batch-size) on {device}"
            with memory_for(work, remedy):
                x = drawing.draw(count, None if y is None else y[start : start + count], stream)
                batch = to_uint8(x).cpu()
            yield start, batch
            bar.advance(start + count)


def write(drawing: Drawing, n: int, asked: Asked, folder: Path, *, batch_size: int, context: Context) -> None:
    """Draw n images, of labels or texts, into a folder: a PNG each, a grid of them, and their arrays. They
    are those of `drawn`, written batch by batch. In the grid each prompt has a row, with its text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images, digits = list[Tensor](), len(str(n - 1))  # equally many digits: names sort as numbers do
    for start, batch in drawn(drawing, n, asked.y, batch_size=batch_size, context=context):
        images.append(batch)
        # Written batch by batch, so that a long drawing that is stopped leaves what it has.
        for number, image in enumerate(pixels(batch), start):
            path = folder / f"{number:0{digits}d}.png"
            with naming(path):
                Image.fromarray(image).save(path)
    together = torch.cat(images)
    save_drawn(drawing.given, together, asked, folder / "grid.png")
    with atomic_file(folder / "samples.npz") as file:
        np.savez(file, samples=pixels(together), **asked.arrays)  # type: ignore[arg-type]  # no name is the option of numpy


def save_drawn(given: Tensor, images: Tensor, asked: Asked, path: Path) -> None:
    """Write the grid of at most 256 of the drawn images (N, C, H, W) uint8: behind those that were given,
    else by classes, or a row for each prompt, of at most 16 of its images.
    """
    if not asked.texts or len(given):
        shown = torch.cat([given, images[:GRID]])
        save_grid(shown, path, columns=None if len(given) else columns(asked.y))
        return
    across = min(asked.each, ACROSS)
    rows = [part[:across] for part in images.split(asked.each)][: max(1, GRID // across)]
    save_grid(torch.cat(rows), path, columns=across, labels=asked.texts[:: asked.each][: len(rows)])


def pixels(images: Tensor) -> np.ndarray:
    """Arrange images (N, C, H, W) uint8 as image files and other tools hold them: (N, H, W) for one channel,
    (N, H, W, C) for more.
    """
    channels_last = images.permute(0, 2, 3, 1).contiguous().numpy()
    return channels_last[..., 0] if images.shape[1] == 1 else channels_last


def columns(y: Y) -> int | None:
    """Count the columns of the grid for labels (N,): one for each class, so that a column is a class, where
    there are from 2 to 20 of them; else None, a grid near a square.
    """
    classes = int(y.max()) + 1 - int(y.min()) if isinstance(y, Tensor) else 1
    return classes if 1 < classes <= CLASSES else None
