"""The posterior of the forward process, by direct Bayes."""

import pytest
import torch

from genbench.diffusion.posterior import posterior
from genbench.diffusion.schedule import CosineSchedule, LinearSchedule, Schedule


@pytest.mark.parametrize("schedule", [LinearSchedule(1000), CosineSchedule(1000)], ids=["linear", "cosine"])
@pytest.mark.parametrize(("t", "s"), [(2, 1), (500, 499), (1000, 999), (1000, 500), (700, 20)])
def test_the_posterior_is_bayes_rule(schedule: Schedule, t: int, s: int) -> None:
    """q(x_s | x_t, x0) is proportional to q(x_t | x_s) q(x_s | x0), two Gaussians in x_s."""
    ab_t, ab_s = schedule.table[t], schedule.table[s]
    x0, xt = torch.tensor(0.7, dtype=torch.float64), torch.tensor(-0.4, dtype=torch.float64)
    a, beta = ab_t / ab_s, 1 - ab_t / ab_s
    precision = a / beta + 1 / (1 - ab_s)
    mean = (a.sqrt() * xt / beta + ab_s.sqrt() * x0 / (1 - ab_s)) / precision
    q = posterior(ab_t, ab_s)
    # float64; 1 - ab_s loses up to 5 digits near s = 0
    assert float(q.of_x0 * x0 + q.of_xt * xt) == pytest.approx(float(mean), rel=1e-9)
    assert float(q.beta_tilde) == pytest.approx(float(1 / precision), rel=1e-9)
    assert float(q.beta) == pytest.approx(float(beta), rel=1e-12)


def test_a_step_to_the_data_returns_x0_without_noise() -> None:
    table = LinearSchedule(1000).table
    q = posterior(table[1], table[0])
    assert float(q.of_x0) == pytest.approx(1.0, abs=1e-12)
    assert float(q.of_xt) == 0.0
    assert float(q.beta_tilde) == 0.0


def test_a_step_of_two_equals_two_steps_of_one_in_law() -> None:
    """Marginalising x_s out of q(x_r | x_s, x0) q(x_s | x_t, x0) gives q(x_r | x_t, x0)."""
    table = CosineSchedule(100).table
    far, near, both = (
        posterior(table[60], table[40]),
        posterior(table[40], table[20]),
        posterior(table[60], table[20]),
    )
    assert float(near.of_xt * far.of_xt) == pytest.approx(float(both.of_xt), rel=1e-12)
    assert float(near.of_x0 + near.of_xt * far.of_x0) == pytest.approx(float(both.of_x0), rel=1e-12)
    variance = near.beta_tilde + near.of_xt**2 * far.beta_tilde
    assert float(variance) == pytest.approx(float(both.beta_tilde), rel=1e-12)
