"""The variational bound (ELBO): the training loss of a VAE, and the likelihood that it reports."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from genbench.probability.counts import MOST_PASSES, check_count
from genbench.probability.gaussian import gaussian_kl, normal_log_prob
from genbench.probability.loss import Loss
from genbench.vaes.likelihood import PixelLikelihood

__all__ = [
    "Inference",
    "active_units",
    "beta_at",
    "check_bound_settings",
    "elbo",
    "free_bits",
    "importance_bound",
    "log_weight",
    "training_terms",
]

ACTIVE = 0.01  # variance of the posterior mean above which a unit counts as active


class Inference(NamedTuple):
    """One pass through encoder and decoder: z ~ q(z | x) = N(mu, e^logvar), and the decoder's answer."""

    z: Tensor
    """(B, L), as mu and logvar are; the prior is N(0, I)."""
    mu: Tensor
    logvar: Tensor
    output: Tensor
    """(B, outputs * C, H, W)."""


def training_terms(
    q: Inference, x: Tensor, likelihood: PixelLikelihood, *, beta: float, free_nats: float
) -> Loss:
    """The loss and its terms "kl", "reconstruction" and "active_units" for the log, all () float32.

    total = (reconstruction + beta KL) / D, each summed over dimensions and averaged over the batch, in nats;
    the division by D = C H W makes one learning rate fit all image sizes. The KL has its free bits in the
    total, none in the terms.
    Source: Kingma & Welling 2014, Eq. 3; beta: Higgins et al. 2017, Eq. 4.
    """
    reconstruction = likelihood.training_nats(q.output, x).mean()
    kl = gaussian_kl(q.mu, q.logvar)
    total = (reconstruction + beta * free_bits(kl, free_nats)) / x[0].numel()
    terms = {
        "kl": kl.sum(1).mean(),
        "reconstruction": reconstruction,
        "active_units": active_units(q.mu),
    }
    return Loss(total, {name: term.detach() for name, term in terms.items()})


def active_units(mu: Tensor) -> Tensor:
    """The number of latent dimensions whose posterior mean varies with x: (B, L) -> () float32.

    Source: Burda et al. 2016, Section 2.1 of the appendix, with their threshold of 0.01.
    """
    return (mu.var(0, unbiased=False) > ACTIVE).sum().float()


def elbo(q: Inference, x: Tensor, likelihood: PixelLikelihood) -> Tensor:
    """log p(x | z) - KL(q(z | x) || p(z)), the KL in closed form: (B,) nats.

    A lower bound of log p(x) in expectation over z. Source: Kingma & Welling 2014, Eq. 3.
    """
    return likelihood.log_prob(q.output, x) - gaussian_kl(q.mu, q.logvar).sum(1)


def log_weight(q: Inference, x: Tensor, likelihood: PixelLikelihood) -> Tensor:
    """log p(x | z) + log p(z) - log q(z | x) of one z: (B,) nats. Source: Burda et al. 2016, Eq. 8."""
    prior = normal_log_prob(q.z, torch.zeros_like(q.mu), torch.zeros_like(q.logvar))
    return likelihood.log_prob(q.output, x) + prior - normal_log_prob(q.z, q.mu, q.logvar)


def importance_bound(
    infer: Callable[[], Inference], x: Tensor, likelihood: PixelLikelihood, *, samples: int
) -> Tensor:
    """log (1/k) sum_i p(x, z_i) / q(z_i | x), one z_i at a time; the ELBO in closed form for k = 1.

    infer draws new z at each call. (B,) nats. Source: Burda et al. 2016, Eq. 8.
    """
    if samples == 1:
        return elbo(infer(), x, likelihood)
    # One z at a time: k at once would take k times the memory of a decoder.
    log_sum = torch.full((len(x),), -math.inf, device=x.device)
    for _ in range(samples):
        log_sum = torch.logaddexp(log_sum, log_weight(infer(), x, likelihood))
    return log_sum - math.log(samples)


def free_bits(kl: Tensor, nats: float) -> Tensor:
    """sum_j max(nats, mean over the batch of KL_j): a KL of `nats` in a latent dimension costs nothing.

    kl (B, L) -> (). The groups of the source are single dimensions here; nats = 0 is the plain KL.
    Source: Kingma et al. 2016, Section C.8 of the appendix, Eq. 15.
    """
    return kl.mean(0).clamp(min=nats).sum()  # no gradient where a dimension is below its free bits


def beta_at(step: int, beta: float, warmup: int) -> float:
    """The weight of the KL at training step `step` = 0, 1, ..: beta min((step + 1) / warmup, 1).

    Never 0, so that parameters with a gradient from the KL alone are trained from the first step on.
    Source: Sonderby et al. 2016, Section 2.3.
    """
    return beta * min((step + 1) / max(warmup, 1), 1.0)


def check_bound_settings(beta: float, warmup_steps: int, free_nats: float, importance_samples: int) -> None:
    """Raise ValueError unless beta > 0, warmup_steps and free_nats >= 0, importance_samples 1 to 10,000."""
    if not beta > 0:
        raise ValueError(f"model.beta is {beta}; it must be above 0 (no KL at all: model=autoencoder)")
    for name, value in (("warmup_steps", warmup_steps), ("free_nats", free_nats)):
        if not value >= 0:
            raise ValueError(f"model.{name} is {value}; it must be at least 0 (none)")
    check_count("model.importance_samples", importance_samples, MOST_PASSES, usual=64)
