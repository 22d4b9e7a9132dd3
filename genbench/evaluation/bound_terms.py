"""Terms of a bound on the likelihood, one for each step of diffusion or each layer of a VAE's latents, on
held-out images: as a table and as a figure; for `genbench bound`.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from genbench.data import ImageSource, prepare
from genbench.evaluation.figures import Curve, curves_figure
from genbench.evaluation.samples import held_out_order
from genbench.generator import BoundTerms, Generator
from genbench.metrics import bits_per_dim
from genbench.records.files import atomic_file
from genbench.runtime import rng
from genbench.runtime.context import Context
from genbench.runtime.memory import memory_for
from genbench.runtime.printable import counted
from genbench.training.step import model_batch

__all__ = ["Terms", "bound_figure"]


USUAL = 32  # test images


class Terms(NamedTuple):
    """A bound in bits per dimension, on average over images, split into three sums of its terms; first +
    between + last is the bound itself.
    """

    first: float
    """L_0: the decoder of the 8-bit image; of a VAE the pixels given all latents."""
    between: float
    """L_1 + .. + L_{T-1}: the reverse steps, or all layers but the coarsest, against their posteriors."""
    last: float
    """L_T: how far the distribution of the last state, or of the coarsest layer, is from its prior."""


def bound_figure(
    model: Generator, source: ImageSource, out: Path, *, n: int | None, context: Context
) -> Terms:
    """Compute every term on n test images, at once; write terms.csv and terms.png, each but the last in bits
    per dimension against t, and return their sums. n: None for 32, or for all where there are fewer.
    Raises ValueError for a model whose bound is no sum over steps or layers, and on more images than the
    split has.
    """
    if not isinstance(model, BoundTerms):
        raise ValueError(
            "this model has no bound that is a sum over steps: model=ddpm has one, and model=vae "
            "network=deep_ladder or ladder"
        )
    device = context.device
    # The first term of one black image: what has no such terms is refused before the data are read.
    one = torch.zeros(1, dtype=torch.long, device=device) if model.num_classes else None
    with rng.fork(device):
        next(iter(model.bound_terms(torch.full((1, *model.shape), -1.0, device=device), one)))
    data = prepare(source, progress=context.progress, captions=model.takes_text)
    if n is not None and n > len(data.test):
        raise ValueError(
            f"--n is {n}; the test split of {data.name} has {counted(len(data.test), 'image')}: take fewer"
        )
    n = n or min(USUAL, len(data.test))
    x, y = model_batch(model, data.test, held_out_order(data, context.seed)[:n], device)
    explained = memory_for(
        f"the bound of {counted(n, 'image')} at once (--n) on {device}", f"take --n {max(n // 2, 1)}"
    )
    with rng.fork(device), explained, context.progress.bar("terms of the bound", len(x)) as bar:
        torch.manual_seed(rng.derive(context.seed, "terms"))  # `bound_terms` draws by torch's own generator
        nats = [float(term.double().mean()) for term in model.bound_terms(x, y)]
        bar.advance(len(x))
    bits = np.array([bits_per_dim(-term, x[0].numel()) for term in nats])
    t = np.arange(1, len(bits) + 1) / (len(bits) - 1)  # of T + 1 terms the last, L_T, is not drawn
    with atomic_file(out / "terms.csv") as file:
        np.savetxt(file, np.stack([t[:-1], bits[:-1]], 1), delimiter=",", header="t,bits", comments="")
    # A term may be 0 where a step or a layer adds nothing, which a logarithmic axis has no place for.
    lines = {"term of the bound": Curve(t[:-1], bits[:-1].clip(min=1e-12))}
    axis = "t (0: data; 1: noise, or the coarsest layer but one)"
    curves_figure(lines, out / "terms.png", x=axis, y="bits per dimension", logarithmic=True)
    return Terms(bits[0], bits[1:-1].sum(), bits[-1])
