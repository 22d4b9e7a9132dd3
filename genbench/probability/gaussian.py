"""Diagonal Gaussians: divergence, log-density, and a draw that passes gradients on."""

import math

import torch
from torch import Tensor

__all__ = ["gaussian_kl", "normal_log_prob", "reparameterize", "standard_normal_nats"]


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
    """log N(z; mu, e^logvar) = -((z - mu)^2 / e^logvar + logvar + log 2 pi) / 2, summed over the latents.

    All (B, L) -> (B,) nats, in the dtype of the arguments.
    """
    squared = (z - mu).square() * (-logvar).exp()
    return -(squared + logvar + math.log(2 * math.pi)).sum(1) / 2


def standard_normal_nats(x: Tensor) -> Tensor:
    """-log N(x; 0, I) = (|x|^2 + D log 2 pi) / 2 of each image: (B, C, H, W) -> (B,) nats, float64."""
    squared = x.double().square().flatten(1).sum(1)
    return (squared + x[0].numel() * math.log(2 * math.pi)) / 2


def reparameterize(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """z = mu + e^(logvar / 2) eps, a draw from N(mu, e^logvar) for eps ~ N(0, I) that passes gradients on.

    All of one shape. Source: Kingma & Welling 2014, Section 2.4.
    """
    return mu + (logvar / 2).exp() * eps
