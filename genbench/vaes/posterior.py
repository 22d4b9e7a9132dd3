"""Diagonal Gaussians over latents, and the divergence between them."""

import math

import torch
from torch import Tensor

__all__ = ["beta_at", "check_bound_settings", "free_bits", "gaussian_kl", "normal_log_prob", "reparameterize"]


def gaussian_kl(
    mu: Tensor, logvar: Tensor, prior_mu: Tensor | None = None, prior_logvar: Tensor | None = None
) -> Tensor:
    """KL(N(mu, e^logvar) || N(prior_mu, e^prior_logvar)) of each dimension; the prior is N(0, 1) where None.

    KL = (log var_p - log var_q + (var_q + (mu_q - mu_p)^2) / var_p - 1) / 2
    All (B, L) -> (B, L) nats. Source: Kingma & Welling 2014, Appendix B.
    """
    prior_mu = torch.zeros_like(mu) if prior_mu is None else prior_mu
    prior_logvar = torch.zeros_like(mu) if prior_logvar is None else prior_logvar
    scaled = (logvar.exp() + (mu - prior_mu).square()) * (-prior_logvar).exp()
    return (prior_logvar - logvar + scaled - 1) / 2


def normal_log_prob(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """log N(z; mu, e^logvar), summed over the latent dimensions: (B, L) -> (B,)."""
    squared = (z - mu).square() * (-logvar).exp()
    return -(squared + logvar + math.log(2 * math.pi)).sum(1) / 2


def reparameterize(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """z = mu + e^(logvar / 2) eps, in their shape. Source: Kingma & Welling 2014, Section 2.4."""
    return mu + (logvar / 2).exp() * eps


def free_bits(kl: Tensor, nats: float) -> Tensor:
    """sum_j max(nats, mean over the batch of KL_j): each latent dimension has `nats` for free.

    kl (B, L) -> (). The groups of the source are single dimensions here; nats = 0 is the plain KL.
    Source: Kingma et al. 2016, Section C.8 of the appendix, Eq. 15.
    """
    return kl.mean(0).clamp(min=nats).sum()


def beta_at(step: int, beta: float, warmup: int) -> float:
    """The weight of the KL at training step `step` = 0, 1, ..: rises linearly to beta over `warmup` steps.

    Never 0, so that what the KL alone trains is trained from the first step on.
    Source: Sonderby et al. 2016, Section 2.3.
    """
    return beta * min((step + 1) / max(warmup, 1), 1.0)


def check_bound_settings(beta: float, warmup_steps: int, free_nats: float, importance_samples: int) -> None:
    """Raise ValueError on settings of the variational bound that mean nothing."""
    if not beta > 0:
        raise ValueError(f"model.beta is {beta}; it must be above 0 (no KL at all: model=autoencoder)")
    if warmup_steps < 0 or free_nats < 0:
        raise ValueError(
            f"model.warmup_steps={warmup_steps} and model.free_nats={free_nats} must be at least 0 (0: none)"
        )
    if importance_samples < 1:
        raise ValueError(
            f"model.importance_samples is {importance_samples}; it must be at least 1 (1: the ELBO)"
        )
