"""denoising-diffusion-pytorch: the settings of its README and the step of its Trainer."""

import io
from contextlib import redirect_stderr

import torch
from denoising_diffusion_pytorch import GaussianDiffusion, Unet
from ema_pytorch import EMA
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.peers.peer import Peer
from genbench.metrics import parameter_count

__all__ = ["DDPMPytorch"]

SIDE = 32  # 28x28 images get a border: its U-Net halves them twice


class DDPMPytorch(Peer):
    """The README's settings, with a network of three narrow levels for 32x32 instead of four for 128x128.

    T = 1000, and by default v predicted under a sigmoid schedule; Adam at 8e-5 with betas 0.9, 0.99; two
    parts of 32 images a step; clipping at 1; EMA of 0.995 every 10 steps. Samples by DDIM in 50 steps.
    Without mixed precision, which is for GPUs, and mirrored images: shoes point to one side.
    """

    name = "denoising-diffusion-pytorch"
    batch_size = 64

    def __init__(
        self,
        *,
        width: int = 16,
        multipliers: tuple[int, ...] = (1, 2, 4),
        shape: tuple[int, int, int] = (1, 28, 28),
        parts: int = 2,
        device: torch.device | None = None,
    ) -> None:
        self.parts, self.border = parts, (SIDE - shape[1]) // 2
        network = Unet(dim=width, dim_mults=multipliers, channels=shape[0], flash_attn=True)
        diffusion = GaussianDiffusion(network, image_size=SIDE, timesteps=1000, sampling_timesteps=50)
        self.diffusion, self.parameters = diffusion.to(device), parameter_count(network)
        self.optimizer = torch.optim.Adam(self.diffusion.parameters(), lr=8e-5, betas=(0.9, 0.99))
        self.ema = EMA(self.diffusion, beta=0.995, update_every=10)

    def train_step(self, images: Tensor) -> None:
        self.diffusion.train()
        for part in F.pad(images / 255, [self.border] * 4).chunk(self.parts):
            (self.diffusion(part) / self.parts).backward()
        nn.utils.clip_grad_norm_(self.diffusion.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.update()

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        self.ema.ema_model.eval()
        inner = slice(self.border, SIDE - self.border)
        with redirect_stderr(io.StringIO()):  # its own bars, which no option turns off
            x = self.ema.ema_model.sample(batch_size=n)[:, :, inner, inner]
        return (x.clamp(0, 1) * 255).round().byte()
