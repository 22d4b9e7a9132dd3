"""Couplings by the cumulative distribution function of a mixture of logistics."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.flows.coupling import Affine, CouplingFunction
from genbench.flows.transform import per_image
from genbench.probability.counts import MOST_LAYERS, check_count

__all__ = ["Logistics", "MixtureCdf"]

WIDEST = 100  # beyond it the slope of the components at 0 underflows

BISECTIONS, NEWTON_STEPS = 26, 3  # 2^-26 of the bracket, then float32 (and float64) precision


class Logistics(NamedTuple):
    """A mixture of K logistic distributions for each number: log pi, mu, log s, (B, K, C, H, W) each."""

    log_pi: Tensor
    mu: Tensor
    log_s: Tensor

    def logit_cdf(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """h = logit F(x) and log dh/dx of x (B, C, H, W), F(x) = sum_k pi_k sigmoid((x - mu_k) / s_k).

        h = log F - log (1 - F) and dh/dx = F' / (F (1 - F)), each a sum of exponentials whose logarithm is
        taken: far out, where F rounds to 0 or 1, h goes on as a straight line. (B, C, H, W) each.
        """
        u = (x[:, None] - self.mu) * (-self.log_s).exp()  # (B, K, C, H, W)
        below = self.log_pi + F.logsigmoid(u)
        above = below - u  # log sigmoid(-u) = log sigmoid(u) - u
        log_density = (below + above - self.log_pi - self.log_s).logsumexp(1)
        log_cdf, log_rest = below.logsumexp(1), above.logsumexp(1)
        return log_cdf - log_rest, log_density - log_cdf - log_rest

    def quantile(self, h: Tensor) -> Tensor:
        """The x of logit F(x) = h by bisection, then Newton's steps clamped to the bracket: (B, C, H, W).

        The bracket starts with the least and the greatest quantile mu_k + s_k h of the components.
        """
        ends = self.mu + self.log_s.exp() * h[:, None]
        low, high = ends.amin(1), ends.amax(1)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            below = self.logit_cdf(middle)[0] < h
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        x = (low + high) / 2
        for _ in range(NEWTON_STEPS):
            value, log_slope = self.logit_cdf(x)
            x = (x - (value - h) * (-log_slope).exp()).clamp(low, high)
        return x


class MixtureCdf(CouplingFunction):
    """z = (logit F(x) / c + t) e^s, F the distribution function of a mixture of K logistics.

    It maps a distribution of several modes to one of a single mode, which an affine map cannot.
    (pi, mu, s_k) and (t, s) come from the network; s and log s_k are bounded as in `Affine`.
    components: K. component_bound: of log s_k.
    spread: the means start in the middles of K equal parts of (-spread, spread), since equal components would
    remain equal; c is the slope at 0 that this gives: raw = 0 is nearly the identity, and exactly at x = 0.
    Raises ValueError on settings that no mixture can have.
    Source: Ho et al. 2019 (Flow++), Section 3.2.
    """

    def __init__(
        self, components: int = 4, *, component_bound: float = 4.0, bound: float = 2.0, spread: float = 2.0
    ) -> None:
        check_count("coupling.components", components, MOST_LAYERS, usual=4)
        if not component_bound > 0:
            raise ValueError(f"coupling.component_bound is {component_bound}; it must be above 0, e.g. 4.0")
        if not 0 <= spread <= WIDEST:
            raise ValueError(f"coupling.spread is {spread}; it must be from 0 to {WIDEST}, e.g. 2.0")
        self.components, self.component_bound, self.spread = components, component_bound, spread
        self.affine, self.parameters = Affine(bound), 3 * components + 2
        raw = torch.zeros(1, self.parameters, 1, 1, dtype=torch.float64)
        logistics, _ = self.parts(raw)
        self.log_slope = float(logistics.logit_cdf(torch.zeros_like(raw[:, :1]))[1])  # log c

    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        logistics, affine = self.parts(raw.to(x.dtype))
        h, log_slope = logistics.logit_cdf(x)
        z, log_det = self.affine.forward(h * math.exp(-self.log_slope), affine)
        return z, log_det + per_image(log_slope - self.log_slope)

    def inverse(self, z: Tensor, raw: Tensor) -> Tensor:
        logistics, affine = self.parts(raw.to(z.dtype))
        return logistics.quantile(self.affine.inverse(z, affine) * math.exp(self.log_slope))

    def parts(self, raw: Tensor) -> tuple[Logistics, Tensor]:
        """The mixtures, and the affine map's parameters (B, 2 C, H, W), of raw (B, (3 K + 2) C, H, W)."""
        k = self.components
        split = raw.unflatten(1, (self.parameters, -1)).split((k, k, k, 2), dim=1)
        logits, mu, unbounded, affine = split  # (B, K, C, H, W) each, affine (B, 2, C, H, W)
        start = self.spread * (torch.arange(1 - k, k, 2, dtype=raw.dtype, device=raw.device) / k)
        log_s = self.component_bound * torch.tanh(unbounded / self.component_bound)
        return Logistics(logits.log_softmax(1), mu + start.reshape(-1, 1, 1, 1), log_s), affine.flatten(1, 2)
