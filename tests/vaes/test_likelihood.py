"""Likelihoods of pixels over 256 levels: normalised, and equal to what training minimises."""

import math

import pytest
import torch
from torch import Tensor

from genbench.autoregressive.pixel_law import LogisticMixture
from genbench.data import to_float
from genbench.diffusion.objective import L1, L2, Huber
from genbench.vaes.likelihood import Bernoulli, Gaussian, Logistic, Mixture, PixelLikelihood, Pointwise

LEVELS = to_float(torch.arange(256, dtype=torch.uint8))
LIKELIHOODS = [
    Logistic((1, 16, 16)),
    Gaussian((1, 16, 16)),
    Bernoulli(),
    Pointwise(L1(), scale=0.1),
    Pointwise(L2(), scale=0.05, chunk=7),
    Pointwise(Huber(0.2), scale=0.01),
]


def all_levels(likelihood: PixelLikelihood, answer: float) -> Tensor:
    """log p of each level at one pixel: an image of one level a row of the batch, one answer: (256,)."""
    x = LEVELS.reshape(-1, 1, 1, 1)
    return likelihood.log_prob(torch.full_like(x, answer), x)


@pytest.mark.parametrize("answer", [-30.0, -1.5, -0.4, 0.0, 1e-4, 0.7, 12.0])
@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda law: type(law).__name__)
def test_every_likelihood_is_normalised(likelihood: PixelLikelihood, answer: float) -> None:
    total = all_levels(likelihood, answer).detach().double().exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-3)  # far out, energies of 1e4 keep 1e-3 in float32


@pytest.mark.parametrize(
    "likelihood",
    [
        Logistic((1, 1, 1), initial_scale=1e4),
        Gaussian((1, 1, 1), initial_scale=1e4),
        Bernoulli(),
        Pointwise(L2(), scale=1e6),
    ],
    ids=lambda law: type(law).__name__,
)
def test_a_likelihood_that_knows_nothing_costs_eight_bits(likelihood: PixelLikelihood) -> None:
    bits = -all_levels(likelihood, 0.0).detach() / math.log(2)
    inner = bits[1:-1]  # open ends take the tails of a wide density
    if isinstance(likelihood, Bernoulli | Pointwise):
        assert torch.allclose(bits, torch.full_like(bits, 8.0), atol=1e-3)
    assert float(inner.max() - inner.min()) < 1e-3


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda law: type(law).__name__)
def test_the_log_probability_of_an_image_is_the_sum_over_its_dimensions(likelihood: PixelLikelihood) -> None:
    x = LEVELS.reshape(1, 1, 16, 16)
    expected = all_levels(likelihood, 0.3).sum()[None]
    together = likelihood.log_prob(torch.full_like(x, 0.3), x)
    assert together.shape == (1,)
    assert torch.allclose(together, expected, rtol=1e-4)


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda law: type(law).__name__)
def test_the_mean_follows_the_output_and_is_not_clamped(likelihood: PixelLikelihood) -> None:
    mean = likelihood.mean(torch.linspace(-9, 9, 256).reshape(1, 1, 16, 16))
    assert mean.shape == (1, 1, 16, 16)
    assert isinstance(likelihood, Bernoulli) == bool(mean.abs().max() <= 1)  # a probability has its range
    assert bool((mean.flatten().diff() >= 0).all())


def test_training_minimises_the_negative_log_probability_where_the_scale_is_learned() -> None:
    x = LEVELS.reshape(1, 1, 16, 16)
    for likelihood in (Logistic((1, 16, 16)), Gaussian((1, 16, 16))):
        assert torch.equal(likelihood.training_nats(x / 2, x), -likelihood.log_prob(x / 2, x))


def test_pointwise_training_is_the_summed_distance_over_the_scale() -> None:
    x = torch.zeros(2, 3, 4, 4)
    assert Pointwise(L1(), scale=0.1).training_nats(x + 0.5, x).tolist() == pytest.approx([240.0, 240.0])


def test_pointwise_differs_from_its_loss_by_the_normaliser_alone() -> None:
    """For the squared error in the middle of the range that is a Gaussian's, sqrt(pi scale) / bucket."""
    likelihood, x = Pointwise(L2(), scale=0.02), LEVELS[100:101].reshape(1, 1, 1, 1)
    log_sum = -likelihood.log_prob(x, x) - likelihood.training_nats(x, x)
    assert float(log_sum) == pytest.approx(math.log(math.sqrt(math.pi * 0.02) / (2 / 255)), abs=1e-4)


def test_bernoulli_trains_on_the_cross_entropy_and_is_least_at_its_mean() -> None:
    x = LEVELS[[0, 60, 200, 255]].reshape(4, 1, 1, 1)
    grey = (x + 1) / 2
    logits = torch.logit(grey, eps=1e-4).requires_grad_()
    nats = Bernoulli().training_nats(logits, x)
    entropy = -(torch.xlogy(grey, grey) + torch.xlogy(1 - grey, 1 - grey)).flatten()
    assert torch.allclose(nats.detach(), entropy, atol=2e-4)
    assert torch.allclose(Bernoulli().mean(logits), x, atol=3e-4)


def test_the_learned_scale_falls_to_the_spread_of_the_residuals() -> None:
    """sigma at its optimum is the residuals' standard deviation (n = 4,096: to 1.1 percent)."""
    torch.manual_seed(0)
    likelihood = Gaussian((1, 64, 64), initial_scale=0.3)
    x = (torch.randn(1, 1, 64, 64) * 0.1 * 127.5).round() / 127.5 + 1 / 255
    optimizer = torch.optim.Adam(likelihood.parameters(), lr=0.1)
    for _ in range(80):
        optimizer.zero_grad()
        (likelihood.training_nats(torch.zeros_like(x), x).sum() / x.numel()).backward()
        optimizer.step()
    assert float(likelihood.log_scale().detach().exp()) == pytest.approx(0.1, rel=0.07)


def test_the_scale_cannot_fall_below_its_bound() -> None:
    likelihood = Logistic((3, 1, 1), min_scale=0.01)
    torch.nn.init.constant_(likelihood.raw_log_scale, -50.0)
    assert likelihood.log_scale().exp().flatten().tolist() == pytest.approx([0.01] * 3)


def test_a_network_with_the_wrong_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="out_channels"):
        Logistic((1, 4, 4)).log_prob(torch.zeros(2, 2, 4, 4), torch.zeros(2, 1, 4, 4))


def test_bad_settings_are_refused_with_the_value() -> None:
    with pytest.raises(ValueError, match=r"likelihood\.min_scale=0"):
        Logistic((1, 4, 4), min_scale=0)
    with pytest.raises(ValueError, match=r"likelihood\.scale is -1"):
        Pointwise(L2(), scale=-1)
    with pytest.raises(ValueError, match=r"likelihood\.chunk is 0"):
        Pointwise(L2(), chunk=0)
    with pytest.raises(ValueError, match=r"likelihood\.components is 0"):
        Mixture(0)


def mixture_answers(likelihood: Mixture, n: int, channels: int) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return 0.5 * torch.randn(n, likelihood.answers(channels), 2, 3, generator=rng)


def test_a_mixture_is_that_of_autoregressive_models() -> None:
    likelihood, law = Mixture(3), LogisticMixture(3)
    output, x = mixture_answers(likelihood, 4, 3), LEVELS[torch.randint(256, (4, 3, 2, 3))]
    tokens = x.flatten(2).transpose(1, 2)  # (B, N, c)
    expected = law.log_prob(output.flatten(2).transpose(1, 2), tokens)
    assert torch.allclose(likelihood.log_prob(output, x), expected, rtol=1e-5)


def test_a_mixture_is_normalised_over_the_levels_of_a_pixel() -> None:
    likelihood, x = Mixture(2), LEVELS.reshape(-1, 1, 1, 1)
    for answer in mixture_answers(likelihood, 3, 1)[:, :, :1, :1]:
        total = likelihood.log_prob(answer.expand(256, -1, 1, 1), x).double().exp().sum()
        assert float(total) == pytest.approx(1, abs=1e-4)


def test_the_mean_of_a_mixture_is_that_of_its_draws() -> None:
    """Of pixels within the range, 20,000 draws: to five standard errors."""
    likelihood, law, n = Mixture(2), LogisticMixture(2), 20_000
    answer = torch.zeros(likelihood.answers(3))
    answer[8:14], answer[14:] = -2.5, torch.linspace(-0.4, 0.4, 6)  # narrow, and coupled
    drawn = law.sample(answer.expand(n, -1), rng=torch.Generator().manual_seed(0))
    found = likelihood.mean(answer.reshape(1, -1, 1, 1)).flatten()
    errors = 5 * drawn.std(0) / n**0.5 + 0.004  # half a level, which draws are rounded by
    assert bool(((found - drawn.mean(0)).abs() < errors).all())


def test_a_network_without_the_channels_of_a_mixture_is_refused_with_their_number() -> None:
    with pytest.raises(ValueError, match="reads 50 channels"):
        Mixture(5).log_prob(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4))
