"""The variational bound: its sums, its importance-weighted version, and the linear model in closed form."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from genbench.probability.gaussian import gaussian_kl, reparameterize
from genbench.vaes.bound import Inference, active_units, elbo, importance_bound, log_weight, training_terms
from genbench.vaes.likelihood import Gaussian, PixelLikelihood

D, L = 6, 2


class Density(PixelLikelihood):
    """A continuous Gaussian of one learned deviation: the discretised one without its buckets."""

    def __init__(self, sigma: float = 0.5) -> None:
        super().__init__()
        self.log_sigma = torch.nn.Parameter(torch.tensor(math.log(sigma), dtype=torch.float64))

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        z = (x - output) / self.log_sigma.exp()
        return -(z.square() / 2 + self.log_sigma + math.log(2 * math.pi) / 2).flatten(1).sum(1)

    def mean(self, output: Tensor) -> Tensor:
        return output


class LinearVAE(torch.nn.Module):
    """x = W z + m + sigma noise, q(z | x) = N(A x + b, diag s^2), over images of (1, 2, 3)."""

    def __init__(self, sigma: float = 0.5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.decoder = torch.nn.Linear(D, L), torch.nn.Linear(L, D)
        self.logvar = torch.nn.Parameter(torch.zeros(L))
        self.likelihood = Density(sigma)
        self.double()

    def infer(self, x: Tensor) -> Inference:
        mu = self.encoder(x.flatten(1))
        logvar = self.logvar.expand_as(mu)
        z = reparameterize(mu, logvar, torch.randn_like(mu))
        return Inference(z, mu, logvar, self.decoder(z).reshape(-1, 1, 2, 3))

    def log_evidence(self, x: Tensor) -> Tensor:
        """log N(x; m, W W^T + sigma^2 I), (B,)."""
        weight, variance = self.decoder.weight, (2 * self.likelihood.log_sigma).exp()
        covariance = weight @ weight.T + variance * torch.eye(D).double()
        return MultivariateNormal(self.decoder.bias, covariance).log_prob(x.flatten(1))


def data(n: int = 2000) -> Tensor:
    """Draws with two strong directions of unequal strength and weak noise: (n, 1, 2, 3) float64."""
    rng = torch.Generator().manual_seed(1)
    basis = torch.linalg.qr(torch.randn(D, D, generator=rng).double()).Q
    deviations = torch.tensor([2.0, 1.0, 0.3, 0.3, 0.3, 0.3]).double()
    x = torch.randn(n, D, generator=rng).double() * deviations @ basis.T + 0.5
    return x.reshape(n, 1, 2, 3)


def ppca(x: Tensor) -> tuple[Tensor, float, float]:
    """Principal subspace (D, L), noise variance and mean log-likelihood at the maximum.

    log p = -(sum_i log lambda_i + (D - L) log sigma^2 + D log 2 pi + D) / 2, sigma^2 the mean of the D - L
    smallest eigenvalues. Source: Tipping & Bishop 1999, Eq. 7, 8 and Section 3.2.
    """
    values, directions = torch.linalg.eigh(torch.cov(x.flatten(1).T, correction=0))
    variance = float(values[: D - L].mean())
    log_det = float(values[D - L :].log().sum()) + (D - L) * math.log(variance)
    return directions[:, D - L :], variance, -(log_det + D * math.log(2 * math.pi) + D) / 2


def test_a_linear_vae_at_its_optimum_is_probabilistic_pca() -> None:
    """Lucas et al. 2019, Section 4: the bound is tight there, so all three numbers must meet.

    The expectation over q is taken in closed form by training on the exact ELBO of the linear model:
    E|x - W z - m|^2 = |x - W mu - m|^2 + tr(W diag(s^2) W^T).
    """
    x, model = data(), LinearVAE()
    directions, variance, best = ppca(x)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=1, max_iter=500, line_search_fn="strong_wolfe")

    def negative_bound() -> Tensor:
        mu = model.encoder(x.flatten(1))
        output = model.decoder(mu).reshape_as(x)
        trace = (model.decoder.weight.square().sum(0) * model.logvar.exp()).sum()
        nats = -model.likelihood.log_prob(output, x) + trace / 2 / (2 * model.likelihood.log_sigma).exp()
        return (nats + gaussian_kl(mu, model.logvar.expand_as(mu)).sum(1)).mean()

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = negative_bound()
        value.backward()
        return value

    optimizer.step(closure)
    # 500 steps of L-BFGS on 2,000 points leave less than 1e-4 nats of the optimum.
    assert float(model.log_evidence(x).mean().detach()) == pytest.approx(best, abs=1e-4)
    assert -float(negative_bound().detach()) == pytest.approx(best, abs=1e-4)
    assert float((2 * model.likelihood.log_sigma.detach()).exp()) == pytest.approx(variance, rel=1e-2)
    span = torch.linalg.qr(model.decoder.weight.detach()).Q
    assert torch.allclose(span @ span.T, directions @ directions.T, atol=1e-2)
    # The bound as the library draws it, averaged: its standard error here is below 0.01 nats.
    torch.manual_seed(0)
    drawn = torch.stack([elbo(model.infer(x), x, model.likelihood).mean() for _ in range(50)]).mean()
    assert float(drawn.detach()) == pytest.approx(best, abs=0.05)


@torch.no_grad()
def test_the_importance_weighted_bound_rises_with_k_towards_the_evidence() -> None:
    model, x = LinearVAE(), data(400) / 3
    evidence = float(model.log_evidence(x).mean())
    torch.manual_seed(0)
    bounds = [
        float(importance_bound(lambda: model.infer(x), x, model.likelihood, samples=k).mean())
        for k in (1, 4, 32, 512)
    ]
    assert bounds == sorted(bounds)
    assert bounds[-1] < evidence + 0.02  # a lower bound, up to the standard error over 400 images
    assert evidence - bounds[-1] < (evidence - bounds[0]) / 4


@torch.no_grad()
def test_one_weight_is_the_elbo_on_average() -> None:
    """n = 400 x 500 draws; six standard errors of the difference."""
    model, x = LinearVAE(), data(400) / 3
    torch.manual_seed(0)
    differences = []
    for _ in range(500):
        q = model.infer(x)
        differences.append(log_weight(q, x, model.likelihood) - elbo(q, x, model.likelihood))
    difference = torch.stack(differences)
    error = float(difference.std()) / math.sqrt(difference.numel())
    assert abs(float(difference.mean())) < 6 * error


@torch.no_grad()
def test_one_sample_gives_the_elbo() -> None:
    model, x = LinearVAE(), data(5)
    torch.manual_seed(0)
    q = model.infer(x)
    torch.manual_seed(0)
    bound = importance_bound(lambda: model.infer(x), x, model.likelihood, samples=1)
    assert torch.equal(bound, elbo(q, x, model.likelihood))


@torch.no_grad()
def test_the_true_posterior_gives_the_evidence_from_one_sample() -> None:
    """Every weight p(x, z) / q(z | x) is p(x) then, whatever z is drawn."""
    model, x = LinearVAE(), data(20)
    weight, variance = model.decoder.weight, (2 * model.likelihood.log_sigma).exp()
    orthogonal = torch.linalg.qr(weight).Q * torch.tensor([2.0, 0.5])  # a diagonal posterior
    model.decoder.weight.copy_(orthogonal)
    precision = orthogonal.square().sum(0) / variance + 1
    model.logvar.copy_(-precision.log())
    model.encoder.weight.copy_(orthogonal.T / variance / precision[:, None])
    model.encoder.bias.copy_(-model.encoder.weight @ model.decoder.bias)
    assert torch.allclose(log_weight(model.infer(x), x, model.likelihood), model.log_evidence(x), atol=1e-6)


def toy() -> tuple[Inference, Tensor, Gaussian]:
    rng = torch.Generator().manual_seed(0)
    z, mu, logvar = (torch.randn(4, L, generator=rng) for _ in range(3))
    output = torch.randn(4, 1, 2, 3, generator=rng)
    return (
        Inference(z, mu, logvar, output),
        torch.rand(4, 1, 2, 3, generator=rng) * 2 - 1,
        Gaussian((1, 2, 3)),
    )


def test_the_total_is_reconstruction_and_beta_kl_a_dimension() -> None:
    q, x, likelihood = toy()
    total, terms = training_terms(q, x, likelihood, beta=3.0, free_nats=0.0)
    expected = (terms["reconstruction"] + 3 * terms["kl"]) / D
    assert torch.allclose(total, expected)
    assert torch.allclose(-(terms["reconstruction"] + terms["kl"]), elbo(q, x, likelihood).mean())
    assert torch.allclose(terms["kl"], gaussian_kl(q.mu, q.logvar).sum(1).mean())
    assert not any(term.requires_grad for term in terms.values())


def test_free_bits_raise_the_total_and_leave_the_terms() -> None:
    q, x, likelihood = toy()
    total, terms = training_terms(q, x, likelihood, beta=1.0, free_nats=100.0)
    assert torch.allclose(total, (terms["reconstruction"] + 100 * L) / D)
    assert torch.allclose(-(terms["reconstruction"] + terms["kl"]), elbo(q, x, likelihood).mean())


def test_active_units_are_those_that_follow_the_image() -> None:
    mu = torch.stack([torch.linspace(-1, 1, 8), torch.zeros(8), torch.linspace(-0.01, 0.01, 8)], dim=1)
    assert float(active_units(mu)) == 1
