"""normflows: its Glow example (examples/glow_colab.ipynb)."""

import warnings

import normflows as nf
import torch
from torch import Tensor

from benchmarks.peers.peer import Peer
from genbench.metrics import parameter_count

__all__ = ["NormflowsGlow"]

LEVELS, BLOCKS, WIDTH = 2, 16, 32
SIDE = 28


class NormflowsGlow(Peer):
    """The example's settings, with two levels for 28x28 instead of three for 32x32, and narrower networks.

    16 blocks a level; uniform dequantization; Adamax at 1e-3 with weight decay 1e-5; batches of 128, left out
    where the loss is not finite. The base has no classes. Samples are clamped to [0, 1], and those
    that are not finite (some are, early on) come out black.
    """

    name = "normflows Glow"
    batch_size = 128

    def __init__(self) -> None:
        warnings.filterwarnings("ignore", message="torch.lu is deprecated")  # its own call, once a process
        levels = range(LEVELS)
        self.model = nf.MultiscaleFlow(
            [nf.distributions.DiagGaussian(latent_shape(level)) for level in levels],
            [blocks(level) for level in levels],
            [nf.flows.Merge() for _ in levels[1:]],
            class_cond=False,
        )
        self.parameters = parameter_count(self.model)
        self.optimizer = torch.optim.Adamax(self.model.parameters(), lr=1e-3, weight_decay=1e-5)

    def train_step(self, images: Tensor) -> None:
        self.optimizer.zero_grad()
        loss = self.model.forward_kld((images + torch.rand(images.shape)) / 256)
        if loss.isfinite():
            loss.backward()
            self.optimizer.step()

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        x, _ = self.model.sample(n)
        return (x.nan_to_num(0.0).clamp(0, 1) * 256).floor().clamp(max=255).byte()


def blocks(level: int) -> list[nf.flows.Flow]:
    """Flows from the latents of a level, counted from the coarsest, to maps of twice its side."""
    channels = 2 ** (LEVELS + 1 - level)
    glow = [nf.flows.GlowBlock(channels, WIDTH, split_mode="channel", scale=True) for _ in range(BLOCKS)]
    return [*glow, nf.flows.Squeeze()]


def latent_shape(level: int) -> tuple[int, int, int]:
    """The latents of a level: all channels of the coarsest, half of the channels of the others."""
    side = SIDE // 2 ** (LEVELS - level)
    return (2 ** (LEVELS + 1 - level) // (2 if level else 1), side, side)
