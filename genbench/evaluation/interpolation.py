"""Images on the arc between two latent codes of a model, of its prior or of two given images; for
`genbench interpolate` and the pictures of a run.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from genbench.data import to_float, to_uint8
from genbench.evaluation.draw import pixels, read
from genbench.evaluation.pictures import save_grid
from genbench.evaluation.prompts import Asked, asked
from genbench.evaluation.slerp import slerp
from genbench.generator import Decodes, Generator, Latent
from genbench.records.files import atomic_file
from genbench.runtime import rng
from genbench.runtime.context import Context
from genbench.runtime.device import make_repeatable
from genbench.runtime.memory import memory_for
from genbench.runtime.printable import counted

__all__ = ["Arcs", "arcs", "interpolated", "write_interpolations"]


class Arcs(NamedTuple):
    """Pairs of codes to interpolate between, of one model: the two ends of each, and its label or text."""

    model: Decodes
    start: Tensor
    """(P, *latent_shape) float32, on the model's device."""
    end: Tensor
    asked: Asked
    """One label or text for the whole arc of each pair, P of them; nothing for an unconditional model."""


@torch.no_grad()
def arcs(
    model: Generator,
    pairs: int,
    *,
    between: tuple[Path, Path] | None = None,
    label: int | None = None,
    prompts: Sequence[str] = (),
    context: Context,
) -> Arcs:
    """Choose the ends of arcs: `pairs` pairs of codes drawn from the model's prior, or the codes of two image
    files, a single pair.

    between: image files of any size, center-cropped and resized to the model's. label: the class of all
    pairs; None takes the classes in turn. prompts: of a model of text, each for equally many pairs. Raises
    ValueError where the model has no codes, or no encoder for given images, and as `asked` does.
    """
    device = context.device
    if not isinstance(model, Decodes):
        raise ValueError(
            "this model has no latent codes to interpolate between: give a run of model=vae, flow, gan, "
            "vqvae, autoencoder or latent_diffusion"
        )
    if between is None:
        found = asked(model, pairs, "--pairs", label=label, prompts=prompts, device=device)
        with rng.fork(device):
            draws = model.prior(2 * pairs, found.repeated(2), rng=context.generator("interpolate"))
        start, end = draws.chunk(2)
        return Arcs(model, start, end, found)
    if not isinstance(model, Latent):
        raise ValueError(
            "--between encodes two images, and this model has no encoder: leave it out to interpolate "
            "between codes of the prior, or give a run of model=vae, flow, vqvae, autoencoder or "
            "latent_diffusion"
        )
    if model.num_classes and label is None:
        legal = f"give --label, from 0 to {model.num_classes - 1}"
        raise ValueError(f"--between encodes images of one class of this conditional model: {legal}")
    x = to_float(torch.cat([read(path, model.shape) for path in between])).to(device)
    found = asked(model, 1, "--pairs", label=label, prompts=prompts, device=device)
    start, end = model.encode(x, found.repeated(2)).chunk(2)
    return Arcs(model, start, end, found)


@torch.no_grad()
def interpolated(found: Arcs, n: int, context: Context) -> Tensor:
    """Decode n codes on each arc, evenly spaced in angle, its two ends among them: (P n, C, H, W) uint8 on
    the host, pair by pair. Raises ValueError on fewer than 2.
    """
    if n < 2:
        raise ValueError(f"n is {n}; it must be at least 2, the two ends of an arc")
    make_repeatable(context.device)
    shares = torch.linspace(0, 1, n).tolist()[1:-1]
    # The ends as they are: the formula would round them.
    codes = [found.start, *(slerp(found.start, found.end, share) for share in shares), found.end]
    images = list[Tensor]()
    work = f"decoding {counted(len(found.start), 'image')} at once (--pairs) on {context.device}"
    with rng.fork(context.device), context.progress.bar("interpolating", n) as bar:
        for number, z in enumerate(codes, 1):
            with memory_for(work, "take fewer --pairs"):
                images.append(to_uint8(found.model.decode(z, found.asked.y)).cpu())
            bar.advance(number)
    return torch.stack(images, dim=1).flatten(0, 1)


def write_interpolations(found: Arcs, n: int, folder: Path, context: Context) -> None:
    """Write n images of each arc into a folder: grid.png, a row for each pair, and samples.npz.

    Its arrays: `samples`, uint8 (P n, H, W) or (P n, H, W, 3), pair by pair; `share`, the place on the arc
    from 0 to 1; `labels` of a conditional model, `captions` of one of text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images, pairs = interpolated(found, n, context), len(found.start)
    y = found.asked.y
    titles = [f"class {label}" for label in y.tolist()] if isinstance(y, Tensor) else found.asked.texts
    save_grid(images, folder / "grid.png", columns=n, labels=titles)
    beside = {name: np.repeat(array, n) for name, array in found.asked.arrays.items()}
    share = np.tile(np.linspace(0, 1, n), pairs)
    with atomic_file(folder / "samples.npz") as file:
        np.savez(file, samples=pixels(images), share=share, **beside)  # type: ignore[arg-type]  # no name is the option of numpy
