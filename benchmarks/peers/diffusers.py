"""diffusers: its example of unconditional training (examples/unconditional_image_generation)."""

import torch
from diffusers import DDIMPipeline, DDIMScheduler, DDPMScheduler, UNet2DModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.peers.peer import Peer
from genbench.data import to_float
from genbench.metrics import parameter_count

__all__ = ["Diffusers", "cifar_network", "small_network"]

STEPS_OF_100_EPOCHS = 100 * 60_000 // 16  # the example's length, over which its rate falls


class Diffusers(Peer):
    """The example's settings, with a network of three levels for 28x28 instead of six for 64x64.

    T = 1000, linear betas, noise predicted; AdamW at 1e-4 with 500 steps of warmup, clipping at 1, EMA up to
    0.9999; batches of 16; attention on the last level but one. Samples by DDIM in 50 steps. No mirrored
    images: shoes point to one side.
    """

    name = "diffusers"
    batch_size = 16

    def __init__(self, network: UNet2DModel | None = None) -> None:
        self.network = small_network() if network is None else network
        self.parameters = parameter_count(self.network)
        self.scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear")
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6
        )
        self.rate = get_scheduler(
            "cosine", self.optimizer, num_warmup_steps=500, num_training_steps=STEPS_OF_100_EPOCHS
        )
        self.ema = EMAModel(
            self.network.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75
        )

    def train_step(self, images: Tensor) -> None:
        x = to_float(images)
        eps = torch.randn_like(x)
        t = torch.randint(0, self.scheduler.config.num_train_timesteps, (len(x),), device=x.device)
        answer = self.network(self.scheduler.add_noise(x, eps, t), t).sample
        F.mse_loss(answer, eps).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.rate.step()
        self.optimizer.zero_grad()
        self.ema.step(self.network.parameters())

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        pipeline = DDIMPipeline(self.network, DDIMScheduler.from_config(self.scheduler.config))
        pipeline.set_progress_bar_config(disable=True)
        self.ema.store(self.network.parameters())
        self.ema.copy_to(self.network.parameters())
        drawn = pipeline(batch_size=n, num_inference_steps=50, output_type="np").images
        self.ema.restore(self.network.parameters())
        return torch.from_numpy((drawn * 255).round().astype("uint8")).permute(0, 3, 1, 2)


def small_network() -> UNet2DModel:
    """Three levels for 28x28, with attention on the second."""
    return UNet2DModel(
        sample_size=28,
        in_channels=1,
        out_channels=1,
        layers_per_block=2,
        block_out_channels=(32, 32, 64),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    )


def cifar_network(width: int = 128) -> UNet2DModel:
    """The U-Net of Ho et al. 2020 for CIFAR-10, Appendix B, as google/ddpm-cifar10-32 has it."""
    return UNet2DModel(
        sample_size=32,
        in_channels=3,
        out_channels=3,
        layers_per_block=2,
        block_out_channels=(width, 2 * width, 2 * width, 2 * width),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=None,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
        norm_eps=1e-6,
        dropout=0.1,
    )
