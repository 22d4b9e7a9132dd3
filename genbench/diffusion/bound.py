"""The variational bound of a diffusion model, term by term, in nats.

-log p(x0) <= L_T + sum_{k = 2..T} L_{k-1} + L_0: the last state against noise, each reverse step against the
posterior, and the decoder of the 8-bit image.
"""

import torch
from torch import Tensor

from genbench.diffusion.posterior import ReverseVariance, posterior
from genbench.diffusion.schedule import Schedule
from genbench.probability.buckets import gaussian_log_prob
from genbench.probability.gaussian import gaussian_kl

__all__ = ["prior_nats", "second_beta_tilde", "step_nats"]


def prior_nats(x0: Tensor, schedule: Schedule) -> Tensor:
    """L_T = KL(q(x_T | x0) || N(0, I)), the error of starting from pure noise: (B, C, H, W) -> (B,) nats.

    Computed in float64, returned in float32. Source: Ho et al. 2020, Eq. 5.
    """
    last = schedule.alpha_bar(torch.ones(1, dtype=torch.float64, device=x0.device))
    kl = gaussian_kl(last.sqrt() * x0.double(), torch.log1p(-last).expand(x0.shape))
    return kl.flatten(1).sum(1).float()


def step_nats(
    x0: Tensor, xt: Tensor, x0_hat: Tensor, variance: ReverseVariance, t: Tensor, schedule: Schedule
) -> Tensor:
    """L_{k-1} of each image at its own step k = t T, (B,) float32.

    k > 1: KL(q(x_{k-1} | x_k, x0) || p(x_{k-1} | x_k)); k = 1: -log p(x0 | x_1), a Gaussian over 256 buckets.
    x0, xt, x0_hat (B, C, H, W), variance of the reverse step from xt, t (B,). beta~_1 = 0 is read as beta~_2,
    as the source's authors do. Source: Ho et al. 2020, Eq. 5 and 13.
    """
    ab_t, ab_s = schedule.around(t)
    q = posterior(ab_t, ab_s)
    first = (ab_s == 1).expand(x0.shape)
    q = q._replace(beta_tilde=torch.where(ab_s == 1, second_beta_tilde(schedule, t), q.beta_tilde))
    # Both means share of_xt * xt, so that their difference is that of x0, and is exact where xt is large.
    logvar, gap = variance.log(q), q.of_x0 * (x0 - x0_hat)
    kl = gaussian_kl(gap, q.beta_tilde.log(), torch.zeros_like(gap), logvar)
    # mu~ at k = 1 is x0_hat itself.
    decoder = -gaussian_log_prob(x0, x0_hat, logvar.expand(x0.shape).float() / 2)
    return torch.where(first, decoder, kl.float()).flatten(1).sum(1)


def second_beta_tilde(schedule: Schedule, t: Tensor) -> Tensor:
    """Compute beta~_2 = beta_2 (1 - ab_1) / (1 - ab_2), the least posterior variance above 0.

    (1, 1, 1, 1) float64 on the device of t. It stands in for beta~_1 = 0, which has no logarithm; T >= 2.
    """
    times = torch.arange(2, 0, -1, dtype=torch.float64, device=t.device) / schedule.T
    ab_2, ab_1 = schedule.alpha_bar(times)
    return posterior(ab_2, ab_1).beta_tilde.reshape(1, 1, 1, 1)
