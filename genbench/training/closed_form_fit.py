"""Closed-form fits of what a model leaves to be found once its weights are trained, such as the reverse
variance of a diffusion model, on a bounded number of training images.
"""

import time
from collections.abc import Iterator

import torch
from torch import Tensor

from genbench.data import Split
from genbench.generator import FitsAfterTraining, Generator, Y
from genbench.runtime import rng
from genbench.runtime.context import Context
from genbench.training.step import model_batch

__all__ = ["FEWEST", "fit", "fit_images"]

SHARE = 1 / 30  # of the training: two fits, forward only, are then 1/45 of its operations
FEWEST, MOST = 128, 8192
BATCH = 64  # whatever the training's, so that neither its parts nor its processes change what is fitted


def fit_images(images_seen: int) -> int:
    """Images that a fit may take after a training of some length: a thirtieth, from FEWEST to MOST.

    A training passes each image forward and backward, about three forward passes; so the fits of averaged
    and raw weights together are about 2 % of its operations, and were 3 % of its seconds on digits with one
    thread of a CPU; more below 3,840 images and less beyond 246,000.
    """
    return min(max(int(SHARE * images_seen), FEWEST), MOST)


@torch.no_grad()
def fit(model: Generator, split: Split, images: int, context: Context) -> float:
    """Fit a model, where it has something to be fitted, to so many images of a training split.

    The images and all randomness follow from the seed alone: a resumed training fits what an uninterrupted
    one does. torch's generators and the mode of the model are left as they were.
    Returns the seconds that it took, 0 where the model asked for no image.
    """
    if not isinstance(model, FitsAfterTraining):
        return 0.0
    training, started, drawn = model.training, time.monotonic(), 0
    host = rng.generator(torch.device("cpu"), context.seed, "fit")
    order = torch.randperm(len(split), generator=host)

    def batches() -> Iterator[tuple[Tensor, Y]]:
        nonlocal drawn
        for start in range(0, images, BATCH):
            index = order[torch.arange(start, min(start + BATCH, images)) % len(split)]
            drawn += len(index)
            yield model_batch(model, split, index, context.device)

    with rng.fork(context.device):
        torch.manual_seed(rng.derive(context.seed, "fit"))
        model.eval()
        model.fit(batches())
        model.train(training)
    return time.monotonic() - started if drawn else 0.0
