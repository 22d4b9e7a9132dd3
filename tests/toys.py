"""Toys that several test files share."""

import torch

from genbench.diffusion.objective import L2
from genbench.diffusion.parameterization import V
from genbench.diffusion.sampler import DDIM
from genbench.diffusion.schedule import Cosine
from genbench.diffusion.times import Stratified
from genbench.families.ddpm import Diffusion
from genbench.nn.unet import UNet

TINY = (
    "network.width=8",
    "network.blocks=1",
    "budget.images=512",
    "sampler.steps=3",
    "trainer.sample_every_images=null",
    "metrics.samples=64",
    "tracker=jsonl",
    "device=cpu",
)
"""Overrides with which a run takes seconds."""


def toy_model(num_classes: int = 0, *, seed: int = 0) -> Diffusion:
    """A DDPM on 4x4 images that trains in milliseconds."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Diffusion(
            (1, 4, 4),
            num_classes,
            network=UNet((1, 4, 4), num_classes, width=8, blocks=1, patch=1, multipliers=[1]),
            schedule=Cosine(50),
            parameterization=V(),
            objective=L2(),
            sampler=DDIM(5),
            times=Stratified(),
        )
