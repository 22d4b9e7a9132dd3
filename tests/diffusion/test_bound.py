"""The variational bound's terms in closed form."""

import math

import pytest
import torch
from scipy.stats import norm

from genbench.diffusion.bound import prior_nats, step_nats
from genbench.diffusion.posterior import Interpolated
from genbench.diffusion.schedule import CosineSchedule, LinearSchedule
from genbench.probability.buckets import gaussian_log_prob

FIXED = Interpolated(torch.zeros((), dtype=torch.float64))


def noised(schedule: LinearSchedule, k: int, n: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x0 in [-1, 1], xt, and the times t = k / T."""
    rng = torch.Generator().manual_seed(k)
    x0 = ((torch.rand(n, 1, 3, 3, generator=rng) * 255).round()) / 127.5 - 1
    t = torch.full((n,), k / schedule.T, dtype=torch.float64)
    at = schedule.level(t)
    return x0, at.alpha * x0 + at.sigma * torch.randn(x0.shape, generator=rng), t


def test_the_decoder_of_a_grey_pixel_at_sigma_one_is_known() -> None:
    x = torch.tensor(127 / 127.5 - 1)
    # Half a grey level from the middle: log(Phi(0) - Phi(-2/255))
    assert float(gaussian_log_prob(x, torch.tensor(0.0), torch.tensor(0.0))) == pytest.approx(
        -5.767065, abs=1e-5
    )


def test_a_perfect_estimate_under_the_posteriors_variance_costs_nothing_but_the_decoder() -> None:
    schedule = LinearSchedule(1000)
    for k in (2, 10, 500, 1000):
        x0, xt, t = noised(schedule, k)
        assert step_nats(x0, xt, x0, FIXED, t, schedule).abs().max() < 1e-6
    x0, xt, t = noised(schedule, 1)
    assert bool((step_nats(x0, xt, x0, FIXED, t, schedule) > 0).all())


@pytest.mark.parametrize("v", [0.0, 0.3, 1.0])
def test_a_term_is_the_divergence_of_two_gaussians(v: float) -> None:
    """Against the textbook form: log s2/s1 + (s1^2 + (m1 - m2)^2) / (2 s2^2) - 1/2."""
    schedule, k = LinearSchedule(1000), 300
    x0, xt, t = noised(schedule, k)
    x0_hat = x0 + 0.1
    beta = float(1 - schedule.table[k] / schedule.table[k - 1])
    ab, ab_prev = float(schedule.table[k]), float(schedule.table[k - 1])
    tilde = beta * (1 - ab_prev) / (1 - ab)
    var = math.exp(v * math.log(beta) + (1 - v) * math.log(tilde))
    gap = beta * math.sqrt(ab_prev) / (1 - ab) * 0.1
    each = 0.5 * math.log(var / tilde) + (tilde + gap**2) / (2 * var) - 0.5
    found = step_nats(x0, xt, x0_hat, Interpolated(torch.tensor(v, dtype=torch.float64)), t, schedule)
    assert found.tolist() == pytest.approx([9 * each] * 4, rel=1e-5)


def test_the_first_step_is_the_discretised_decoder_with_the_second_steps_variance() -> None:
    schedule = LinearSchedule(1000)
    x0, xt, t = noised(schedule, 1)
    x0_hat = x0 + 0.004
    ab, ab_prev = float(schedule.table[2]), float(schedule.table[1])
    sigma = math.sqrt((1 - ab / ab_prev) * (1 - ab_prev) / (1 - ab))
    upper = norm.cdf((x0 + 1 / 255 - x0_hat).double().numpy() / sigma)
    lower = norm.cdf((x0 - 1 / 255 - x0_hat).double().numpy() / sigma)
    inside = (x0.abs() < 1).flatten(1).all(1)
    expected = -torch.tensor(upper - lower).log().flatten(1).sum(1)
    found = step_nats(x0, xt, x0_hat, FIXED, t, schedule).double()
    assert bool(inside.any())
    assert torch.allclose(found[inside], expected[inside], rtol=1e-4)


def test_steps_of_a_batch_are_each_at_their_own_time() -> None:
    schedule = CosineSchedule(1000)
    parts = [noised(schedule, k) for k in (1, 2, 900)]
    x0, xt, t = (torch.cat(part) for part in zip(*parts, strict=True))
    together = step_nats(x0, xt, 0.5 * xt, FIXED, t, schedule)
    alone = torch.cat([step_nats(a, b, 0.5 * b, FIXED, c, schedule) for a, b, c in parts])
    assert torch.allclose(together, alone, rtol=1e-6)


def test_what_is_left_at_the_last_step_costs_little() -> None:
    x0 = torch.ones(2, 1, 3, 3)
    for schedule in (LinearSchedule(1000), CosineSchedule(1000)):
        last = float(schedule.table[-1])
        each = 0.5 * (last - math.log1p(-last) - last)  # mean^2 = alpha_bar, variance 1 - alpha_bar
        assert prior_nats(x0, schedule).tolist() == pytest.approx([9 * each] * 2, rel=1e-4)
