"""denoising-diffusion-pytorch: the settings of its README and the step of its Trainer."""

import io
from contextlib import redirect_stderr

import torch
from denoising_diffusion_pytorch import GaussianDiffusion, Unet
from ema_pytorch import EMA
from torch import Tensor, nn
from torch.nn import functional as F

from genbench.metrics import parameter_count
from tests.benchmarks.peers.peer import Peer

__all__ = ["DDPMPytorch"]

BORDER = 2  # 28x28 images become 32x32: its U-Net halves them twice
ACCUMULATE = 2


class DDPMPytorch(Peer):
    """The README's settings, with a network of three narrow levels for 32x32 instead of four for 128x128.

    T = 1000, and by default v predicted under a sigmoid schedule; Adam at 8e-5 with betas 0.9, 0.99; two
    parts of 32 images a step; clipping at 1; EMA of 0.995 every 10 steps. Samples by DDIM in 50 steps.
    Without mixed precision, which is for GPUs, and mirrored images: shoes point to one side.
    """

    name = "denoising-diffusion-pytorch"
    batch_size = 32 * ACCUMULATE

    def __init__(self) -> None:
        network = Unet(dim=16, dim_mults=(1, 2, 4), channels=1, flash_attn=True)
        self.diffusion = GaussianDiffusion(network, image_size=32, timesteps=1000, sampling_timesteps=50)
        self.parameters = parameter_count(network)
        self.optimizer = torch.optim.Adam(self.diffusion.parameters(), lr=8e-5, betas=(0.9, 0.99))
        self.ema = EMA(self.diffusion, beta=0.995, update_every=10)

    def train_step(self, images: Tensor) -> None:
        self.diffusion.train()
        for part in F.pad(images / 255, [BORDER] * 4).chunk(ACCUMULATE):
            (self.diffusion(part) / ACCUMULATE).backward()
        nn.utils.clip_grad_norm_(self.diffusion.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.update()

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        self.ema.ema_model.eval()
        with redirect_stderr(io.StringIO()):  # its own bars, which no option turns off
            x = self.ema.ema_model.sample(batch_size=n)[:, :, BORDER:-BORDER, BORDER:-BORDER]
        return (x.clamp(0, 1) * 255).round().byte()
