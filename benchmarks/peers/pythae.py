"""pythae: the VAE of its tutorial (examples/notebooks/models_training/vae_training.ipynb)."""

import torch
from pythae.models import VAE, VAEConfig
from pythae.models.nn.benchmarks.mnist import Decoder_ResNet_AE_MNIST, Encoder_ResNet_VAE_MNIST
from pythae.samplers import NormalSampler
from torch import Tensor

from benchmarks.peers.peer import Peer
from genbench.metrics import parameter_count

__all__ = ["Pythae"]


class Pythae(Peer):
    """The tutorial's settings, which are for 28x28, as they stand.

    Its residual networks for MNIST, 16 latents, squared error; AdamW at 1e-4, weight decay 0.05 and betas
    0.91, 0.99; batches of 64. Samples are decoded from the normal prior, without the pixels' noise.
    """

    name = "pythae VAE"
    batch_size = 64

    def __init__(self) -> None:
        config = VAEConfig(input_dim=(1, 28, 28), latent_dim=16)
        self.model = VAE(config, Encoder_ResNet_VAE_MNIST(config), Decoder_ResNet_AE_MNIST(config))
        self.parameters = parameter_count(self.model)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=1e-4, weight_decay=0.05, betas=(0.91, 0.99)
        )

    def train_step(self, images: Tensor) -> None:
        self.model.train()
        self.optimizer.zero_grad()
        self.model({"data": images / 255}).loss.backward()
        self.optimizer.step()

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        x = NormalSampler(self.model).sample(num_samples=n, batch_size=n)
        return (x.cpu().clamp(0, 1) * 255).round().byte()
