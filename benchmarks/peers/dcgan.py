"""PyTorch's DCGAN tutorial: its sizes, initial weights, losses and optimizers, in our own code."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.peers.peer import Peer
from genbench.data import to_float, to_uint8
from genbench.metrics import parameter_count

__all__ = ["DCGAN"]

LATENT, WIDTH = 100, 64
BORDER = 2  # 28x28 images become 32x32, which is three doublings of 4x4


class DCGAN(Peer):
    """The tutorial's networks for 64x64 with one level fewer.

    Adam at 2e-4 with betas 0.5, 0.999; binary cross-entropy; batches of 128; weights from N(0, 0.02).
    Source: the tutorial (docs.pytorch.org/tutorials/beginner/dcgan_faces_tutorial.html); Radford et al. 2016.
    """

    name = "DCGAN tutorial"
    batch_size = 128

    def __init__(self) -> None:
        self.generator, self.discriminator = generator(), discriminator()
        networks = nn.ModuleList([self.generator, self.discriminator])
        networks.apply(draw_weights)
        self.parameters = parameter_count(networks)
        self.of_discriminator, self.of_generator = (
            torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for network in (self.discriminator, self.generator)
        )

    def train_step(self, images: Tensor) -> None:
        real = F.pad(to_float(images), [BORDER] * 4, value=-1.0)
        fake = self.generator(torch.randn(len(real), LATENT, 1, 1))

        self.of_discriminator.zero_grad()
        self.surprise(real, 1.0).backward()
        self.surprise(fake.detach(), 0.0).backward()
        self.of_discriminator.step()

        self.of_generator.zero_grad()
        self.surprise(fake, 1.0).backward()
        self.of_generator.step()

    def surprise(self, x: Tensor, label: float) -> Tensor:
        """The discriminator's cross-entropy where all images x (B, 1, 32, 32) have one label: ()."""
        answers = self.discriminator(x).flatten()
        return F.binary_cross_entropy(answers, torch.full_like(answers, label))

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Draw in training mode, as the tutorial does: each batch is normalised by itself."""
        x = self.generator(torch.randn(n, LATENT, 1, 1))
        return to_uint8(x[:, :, BORDER:-BORDER, BORDER:-BORDER])


def generator() -> nn.Sequential:
    """The generator: z (B, 100, 1, 1) -> (B, 1, 32, 32) in [-1, 1]."""
    widths = (LATENT, 4 * WIDTH, 2 * WIDTH, WIDTH)
    layers: list[nn.Module] = []
    for level, (inner, outer) in enumerate(pairwise(widths)):
        stride, padding = (2, 1) if level else (1, 0)
        conv = nn.ConvTranspose2d(inner, outer, 4, stride, padding, bias=False)
        layers += [conv, nn.BatchNorm2d(outer), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.ConvTranspose2d(WIDTH, 1, 4, 2, 1, bias=False), nn.Tanh())


def discriminator() -> nn.Sequential:
    """The discriminator: x (B, 1, 32, 32) -> the probability that it is real (B, 1, 1, 1)."""
    widths = (1, WIDTH, 2 * WIDTH, 4 * WIDTH)
    layers: list[nn.Module] = []
    for level, (inner, outer) in enumerate(pairwise(widths)):
        layers.append(nn.Conv2d(inner, outer, 4, 2, 1, bias=False))
        layers += [nn.BatchNorm2d(outer)] if level else []
        layers.append(nn.LeakyReLU(0.2, inplace=True))
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 0, bias=False), nn.Sigmoid())


def draw_weights(module: nn.Module) -> None:
    """The tutorial's initial weights: N(0, 0.02) of convolutions, N(1, 0.02) of batch norms."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
