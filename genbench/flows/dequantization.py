"""Dequantization, from bytes to real numbers: noise that fills the bucket of each grey level."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.flows.base_distribution import StandardNormal
from genbench.flows.coupling import Affine, Checkerboard
from genbench.flows.network import CouplingNets
from genbench.flows.transform import per_image
from genbench.probability.buckets import LEVELS, gaussian_log_prob
from genbench.probability.counts import MOST_LAYERS, MOST_PASSES, check_count
from genbench.probability.differentiates import Differentiates
from genbench.runtime import global_batch

__all__ = ["Dequantization", "GaussianDequantization", "UniformDequantization", "VariationalDequantization"]


class Dequantization(nn.Module, ABC):
    """v = k + u for levels k in 0 .. 255, u in [0, 1) from q(u | k, y).

    The density p(v) over [0, 256)^D of a flow gives the bytes P(k) = integral of p(k + u) du, and
    log P(k) >= E_q [log p(k + u) - log q(u | k)]. Buckets have volume 1, so no other constant arises.
    draws: of u for each likelihood that is measured, which is the log of the mean weight p(k + u) / q(u | k)
    over them: a lower bound in expectation, the tighter the more draws. Training draws once. Raises
    ValueError on fewer draws than one.
    Source of the bound: Theis et al. 2016, Section 3.1; with several draws: Burda et al. 2016, Eq. 8.
    """

    bound: Literal["lower"] = "lower"
    """The kind of number that the flow's log_prob is, as genbench.generator.Likelihood has it."""
    noise_name: str
    """Kind of noise as `method` of a result names it: uniform, variational, Gaussian with its sigma."""
    spills = False
    """True where v can lie outside [0, 256), which not every flow takes."""
    cleans = False
    """True where `clean` changes samples."""

    def __init__(self, *, draws: int = 1) -> None:
        super().__init__()
        check_count("dequantization.draws", draws, MOST_PASSES, usual=16)
        self.draws = draws

    @property
    def method(self) -> str:
        """Name of the bound in tables, e.g. "one draw of uniform dequantization"."""
        count = "one draw" if self.draws == 1 else f"{self.draws} draws"
        return f"{count} of {self.noise_name} dequantization"

    @abstractmethod
    def forward(self, levels: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """v (B, C, H, W) and log q(u | k, y) (B,) in nats, of levels k (B, C, H, W).

        Noise comes from torch's default generator.
        """

    def clean(self, v: Tensor, log_density: Callable[[Tensor], Tensor]) -> Tensor:
        """Return samples v (B, C, H, W) of the flow as they are shown; by default unchanged.

        log_density: that of the flow, (B, C, H, W) -> (B,) nats, which gradients go through.
        """
        return v


class UniformDequantization(Dequantization):
    """q = 1, u ~ U[0, 1). Papers often report one draw of this bound as the exact likelihood; it is a bound.

    Source: Theis et al. 2016, Section 3.1.
    """

    noise_name = "uniform"

    def forward(self, levels: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return levels + global_batch.uniform_like(levels), levels.new_zeros(len(levels))


class GaussianDequantization(Dequantization, Differentiates):
    """v = k + 1/2 + 127.5 sigma eps, eps ~ N(0, I): noise that covers many grey levels, taken off samples.

    A sample v becomes v + (127.5 sigma)^2 grad log p(v), the mean of the clean image given v (Tweedie).
    The bound is that of the model which draws v from the flow, adds noise of the same sigma again, and
    rounds: log P(k) >= E_q [log p(v) + log P(k | v) - log q(v | k)], P(k | v) the discretised N(v, sigma^2).
    What `forward` answers as log q is log q(v | k) - log P(k | v). The noise counts in full: bits per
    dimension compare flows of one sigma, not with those of other noise.
    sigma: of images in [-1, 1]. denoise: False shows samples with their noise.
    Raises ValueError on a sigma that is not in (0, 1].
    Source: Zhai et al. 2024; Tweedie's formula: Efron 2011.
    """

    spills = True

    def __init__(self, *, sigma: float = 0.05, denoise: bool = True, draws: int = 1) -> None:
        super().__init__(draws=draws)
        if not 0 < sigma <= 1:
            raise ValueError(
                f"dequantization.sigma is {sigma}; it must be above 0 and at most 1, of images in [-1, 1], "
                "e.g. 0.05"
            )
        self.sigma, self.cleans = sigma, denoise
        self.noise_name = f"Gaussian (sigma={sigma:g})"  # bits of different sigma do not compare
        self.levels = sigma * (LEVELS - 1) / 2  # sigma in grey levels

    def forward(self, levels: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        eps = global_batch.normal_like(levels)
        log_q = StandardNormal().log_prob(eps) - levels[0].numel() * math.log(self.levels)
        return levels + 0.5 + self.levels * eps, log_q - self.log_decoder(levels, eps)

    def log_decoder(self, levels: Tensor, eps: Tensor) -> Tensor:
        """log P(k | v) at v = k + 1/2 + 127.5 sigma eps, of levels and eps (B, C, H, W): (B,) nats."""
        x = levels / ((LEVELS - 1) / 2) - 1
        log_sigma = x.new_tensor(self.sigma).log()
        return per_image(gaussian_log_prob(x, x + self.sigma * eps, log_sigma))

    def clean(self, v: Tensor, log_density: Callable[[Tensor], Tensor]) -> Tensor:
        if not self.cleans:
            return v
        with torch.enable_grad():  # samples are drawn without gradients
            leaf = v.detach().requires_grad_()
            # The sum over the batch: each image's gradient depends on its own term alone.
            (score,) = torch.autograd.grad(log_density(leaf).sum(), leaf)
        return v + self.levels**2 * score


class VariationalDequantization(Dequantization):
    """u = sigmoid(g(eps; k, y)), eps ~ N(0, I), g couplings whose networks read the levels too.

    log q(u | k, y) = log N(eps; 0, I) - log |det dg/deps| - sum log u (1 - u)
    shape: (C, H, W) of the images. networks, steps, bound: of the couplings, see Affine for the bound.
    Raises ValueError on fewer steps than one.
    Source: Ho et al. 2019 (Flow++), Section 3.1, Eq. 11 to 13.
    """

    noise_name = "variational"

    def __init__(
        self,
        shape: Sequence[int],
        *,
        networks: CouplingNets,
        steps: int = 4,
        bound: float = 2.0,
        draws: int = 1,
    ) -> None:
        super().__init__(draws=draws)
        check_count("dequantization.steps", steps, MOST_LAYERS, usual=4)
        channels, height, width = shape
        self.function = Affine(bound)
        self.partitions = nn.ModuleList(
            Checkerboard((channels, height, width), swap=k % 2 == 1) for k in range(steps)
        )
        self.networks = nn.ModuleList(networks.build(2 * channels, 2 * channels) for _ in range(steps))

    def forward(self, levels: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        u, log_q = self.noise(global_batch.normal_like(levels), levels, y)
        return levels + u, log_q

    def noise(self, eps: Tensor, levels: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """u (B, C, H, W) in (0, 1) and log q(u | k, y) (B,), of eps and levels (B, C, H, W)."""
        context = 2 * levels / (LEVELS - 1) - 1  # the levels in [-1, 1]
        h, log_q = eps, StandardNormal().log_prob(eps)
        # As in CouplingLayer, but the networks read the levels beside the fixed part.
        partitions = cast("Iterable[Checkerboard]", self.partitions)
        for partition, network in zip(partitions, self.networks, strict=True):
            fixed, moved = partition.split(h)
            raw = partition.restrict(network(torch.cat([fixed, context], dim=1), y))
            moved, log_det = self.function.forward(moved, raw)
            h, log_q = partition.merge(fixed, moved), log_q - log_det
        log_slope = -F.softplus(h) - F.softplus(-h)  # of the sigmoid
        return torch.sigmoid(h), log_q - per_image(log_slope)
