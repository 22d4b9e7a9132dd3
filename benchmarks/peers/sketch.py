"""A plain DDPM as one would sketch it in an hour: a U-Net of torch's own layers, v predicted, bfloat16."""

import copy
import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.peers.peer import Peer
from genbench.data import to_float, to_uint8
from genbench.metrics import parameter_count

__all__ = ["Sketch", "cosine"]

STEPS = 50
EMBEDDING = 256


class Sketch(Peer):
    """Folded 2x2 pixels, widths 64 and 128, cosine schedule, DDIM in 50 steps; the library's norms and
    attention, under autocast to bfloat16.

    Adam at 1e-3 with 100 steps of warmup, clipping at 1, batches of 64; EMA up to 0.999 that follows faster
    at first.
    Source: network: Ho et al. 2020; schedule: Nichol & Dhariwal 2021, Eq. 17; v: Salimans & Ho 2022, Appendix
    D; sampler: Song et al. 2021 (DDIM), Eq. 12 with sigma 0.
    """

    name = "sketch"
    batch_size = 64

    def __init__(self) -> None:
        self.network = SketchUNet()
        self.average: nn.Module = copy.deepcopy(self.network)
        self.parameters = parameter_count(self.network)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3)
        self.steps = 0

    def train_step(self, images: Tensor) -> None:
        x = to_float(images)
        t = torch.rand(len(x), 1, 1, 1, device=x.device)
        alpha, sigma = cosine(t)
        eps = torch.randn_like(x)
        v = alpha * eps - sigma * x
        F.mse_loss(answer(self.network, alpha * x + sigma * eps, t), v).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.steps += 1
        self.optimizer.param_groups[0]["lr"] = 1e-3 * min(1.0, self.steps / 100)
        self.optimizer.step()
        self.optimizer.zero_grad()
        share = max(1 - 0.999, 9 / (10 + self.steps))
        with torch.no_grad():
            for mine, theirs in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mine.lerp_(theirs, share)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        x = torch.randn(n, 1, 28, 28)
        times = torch.linspace(1, 0, STEPS + 1)
        for now, then in pairwise(times):
            (alpha, sigma), (next_alpha, next_sigma) = cosine(now), cosine(then)
            v = answer(self.average, x, now.expand(n, 1, 1, 1))
            x0 = (alpha * x - sigma * v).clamp(-1, 1)
            eps = (x - alpha * x0) / sigma
            x = next_alpha * x0 + next_sigma * eps
        return to_uint8(x)


def cosine(t: Tensor) -> tuple[Tensor, Tensor]:
    """The factors of image and noise at times in [0, 1]."""
    return torch.cos(t * math.pi / 2), torch.sin(t * math.pi / 2)


def answer(network: nn.Module, x: Tensor, t: Tensor) -> Tensor:
    """The network's v of images (B, 1, 28, 28) at times (B, 1, 1, 1), computed in bfloat16."""
    with torch.autocast("cpu", torch.bfloat16):
        v: Tensor = network(x, t.flatten())
    return v.float()


class SketchBlock(nn.Module):
    """Two 3x3 convolutions after group norm and SiLU; the time is added between them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(16, inputs), nn.GroupNorm(16, outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.time = nn.Linear(EMBEDDING, outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x))) + self.time(embedding)[:, :, None, None]
        return self.skip(x) + self.conv2(F.silu(self.norm2(h)))


class SketchAttention(nn.Module):
    """Self-attention of four heads over the positions of a map, added to it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(16, channels)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        b, c, height, width = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, 3, 4, c // 4, height * width).mT.unbind(1)
        h = F.scaled_dot_product_attention(q, k, v)  # (B, heads, N, C / heads)
        return x + self.out(h.mT.reshape(b, c, height, width))


class SketchUNet(nn.Module):
    """Maps of 14x14 with 64 channels and of 7x7 with 128, two blocks of each on both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(64, EMBEDDING), nn.SiLU(), nn.Linear(EMBEDDING, EMBEDDING))
        self.enter = nn.Conv2d(4, 64, 3, padding=1)
        self.high = nn.ModuleList([SketchBlock(64, 64), SketchBlock(64, 64)])
        self.down = nn.Conv2d(64, 64, 3, stride=2, padding=1)
        self.low = nn.ModuleList([SketchBlock(64, 128), SketchBlock(128, 128)])
        self.middle1, self.middle2 = SketchBlock(128, 128), SketchBlock(128, 128)
        self.attend = SketchAttention(128)
        self.low_up = nn.ModuleList([SketchBlock(256, 128), SketchBlock(256, 128)])
        self.up = nn.Conv2d(128, 128, 3, padding=1)
        self.high_up = nn.ModuleList([SketchBlock(192, 64), SketchBlock(128, 64)])
        self.leave = nn.Sequential(nn.GroupNorm(16, 64), nn.SiLU(), nn.Conv2d(64, 4, 3, padding=1))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """x (B, 1, 28, 28), t (B,) in [0, 1] -> (B, 1, 28, 28)."""
        angles = 1000 * t[:, None] * torch.logspace(0, -4, 32, device=t.device)
        embedding = F.silu(self.embed(torch.cat([angles.sin(), angles.cos()], 1)))
        h, skips = self.enter(F.pixel_unshuffle(x, 2)), []
        for block in self.high:
            h = block(h, embedding)
            skips.append(h)
        h = self.down(h)
        for block in self.low:
            h = block(h, embedding)
            skips.append(h)
        h = self.middle2(self.attend(self.middle1(h, embedding)), embedding)
        for block in self.low_up:
            h = block(torch.cat([h, skips.pop()], 1), embedding)
        h = self.up(F.interpolate(h, scale_factor=2))
        for block in self.high_up:
            h = block(torch.cat([h, skips.pop()], 1), embedding)
        return F.pixel_shuffle(self.leave(h), 2)
