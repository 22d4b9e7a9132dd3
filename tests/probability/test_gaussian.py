"""Divergences in closed form, free bits, warm-up."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from genbench.probability.gaussian import gaussian_kl, normal_log_prob, reparameterize
from genbench.vaes.bound import beta_at, check_bound_settings, free_bits


def gaussians() -> tuple[torch.Tensor, ...]:
    rng = torch.Generator().manual_seed(0)
    return tuple(torch.randn(5, 7, generator=rng, dtype=torch.float64) for _ in range(4))


def test_the_divergence_of_a_shift_by_one_is_a_half() -> None:
    assert gaussian_kl(torch.ones(1, 1), torch.zeros(1, 1)).tolist() == [[0.5]]


def test_divergences_are_those_of_torch() -> None:
    mu, logvar, prior_mu, prior_logvar = gaussians()
    q, p = Normal(mu, (logvar / 2).exp()), Normal(prior_mu, (prior_logvar / 2).exp())
    assert torch.allclose(gaussian_kl(mu, logvar, prior_mu, prior_logvar), kl_divergence(q, p))
    standard = Normal(torch.zeros_like(mu), torch.ones_like(mu))
    assert torch.allclose(gaussian_kl(mu, logvar), kl_divergence(q, standard))


def test_a_divergence_does_not_change_in_whitened_coordinates() -> None:
    """The identity by which the hierarchy counts each layer's KL against N(0, I)."""
    mu, logvar, prior_mu, prior_logvar = gaussians()
    whitened = (mu - prior_mu) * (-prior_logvar / 2).exp(), logvar - prior_logvar
    assert torch.allclose(gaussian_kl(*whitened), gaussian_kl(mu, logvar, prior_mu, prior_logvar))


def test_log_densities_are_those_of_torch() -> None:
    z, mu, logvar, _ = gaussians()
    expected = Normal(mu, (logvar / 2).exp()).log_prob(z).sum(1)
    assert torch.allclose(normal_log_prob(z, mu, logvar), expected)


def test_reparameterized_draws_are_standardised_by_their_moments() -> None:
    eps, mu, logvar, _ = gaussians()
    z = reparameterize(mu, logvar, eps)
    assert torch.allclose((z - mu) / (logvar / 2).exp(), eps)


def test_free_bits_count_each_dimension_at_least_once() -> None:
    kl = torch.tensor([[0.0, 1.0, 3.0], [0.2, 3.0, 5.0]])
    assert float(free_bits(kl, 0.0)) == pytest.approx(0.1 + 2 + 4)
    assert float(free_bits(kl, 0.5)) == pytest.approx(0.5 + 2 + 4)
    assert float(free_bits(kl, 9.0)) == pytest.approx(27)


def test_dimensions_below_their_free_bits_get_no_gradient() -> None:
    kl = torch.tensor([[0.1, 2.0]], requires_grad=True)
    free_bits(kl, 0.5).backward()
    assert kl.grad is not None
    assert kl.grad.tolist() == [[0.0, 1.0]]


def test_beta_rises_linearly_and_is_never_zero() -> None:
    assert [beta_at(step, 2.0, 4) for step in (0, 1, 3, 4, 100)] == [0.5, 1.0, 2.0, 2.0, 2.0]
    assert beta_at(0, 2.0, 0) == 2.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((0.0, 0, 0.0, 1), r"model\.beta is 0"),
        ((1.0, -1, 0.0, 1), r"model\.warmup_steps is -1"),
        ((1.0, 0, -0.5, 1), r"model\.free_nats is -0\.5"),
        ((1.0, 0, 0.0, 0), r"model\.importance_samples is 0"),
    ],
)
def test_bad_settings_are_refused_with_the_value(
    settings: tuple[float, int, float, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_bound_settings(*settings)
