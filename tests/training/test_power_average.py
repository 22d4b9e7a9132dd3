"""Power averages of weights: their profile, and mixtures of stored ones that stand for others."""

import math

import numpy as np
import pytest
import torch

from genbench.training.power_average import (
    LONGEST,
    STDS,
    Profile,
    exponent_of,
    inner_product,
    mixture,
    share_of_step,
    std_of,
)

EVERY = [Profile(t, exponent_of(std)) for t in np.linspace(0, 1, 33)[1:].tolist() for std in STDS]


def directly(path: torch.Tensor, std: float) -> torch.Tensor:
    """The averages of a path up to each step of one image, as a training tracks them."""
    averages, gamma = [torch.zeros_like(path[0])], exponent_of(std)
    for k, weight in enumerate(path, 1):
        averages.append(averages[-1].lerp(weight, share_of_step(gamma, images=1, images_seen=k)))
    return torch.stack(averages[1:])


def test_the_published_exponents_belong_to_the_published_lengths() -> None:
    assert [round(exponent_of(std), 2) for std in (0.05, 0.10)] == [16.97, 6.94]


@pytest.mark.parametrize("std", [0.01, 0.05, 0.1, 0.2, 0.2886, LONGEST])
def test_a_profile_has_the_standard_deviation_that_its_exponent_is_found_by(std: float) -> None:
    gamma, tau = exponent_of(std), np.linspace(0, 1, 200_001)
    profile = (gamma + 1) * tau**gamma / 200_000
    mean = (profile * tau).sum() / profile.sum()
    found = math.sqrt((profile * (tau - mean) ** 2).sum() / profile.sum())
    assert std_of(gamma) == pytest.approx(std, rel=1e-9)
    assert found == pytest.approx(std, rel=1e-4)


@pytest.mark.parametrize("std", [0.0, -0.1, 0.2887, math.nan])
def test_a_length_beyond_the_plain_mean_is_refused(std: float) -> None:
    with pytest.raises(ValueError, match=r"must be above 0 and at most 0\.2886"):
        exponent_of(std)


def test_an_inner_product_is_the_integral_over_both_profiles() -> None:
    one, other = Profile(0.6, 3.0), Profile(0.9, 7.0)
    tau = (np.arange(600_000) + 0.5) / 1e6
    integral = (4 * tau**3 / 0.6**4 * 8 * tau**7 / 0.9**8).sum() / 1e6
    assert inner_product(one, other) == inner_product(other, one) == pytest.approx(integral, rel=1e-6)


def test_steps_of_any_size_average_a_path_that_is_constant_within_each() -> None:
    values, ends, gamma, average = [2.0, -1.0, 5.0], [3, 4, 10], 2.5, 0.0
    for before, end, value in zip([0, *ends], ends, values, strict=False):
        average += share_of_step(gamma, images=end - before, images_seen=end) * (value - average)
    exact = sum(
        v * ((b / 10) ** 3.5 - (a / 10) ** 3.5) for a, b, v in zip([0, *ends], ends, values, strict=False)
    )
    assert average == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("std", [0.03, 0.05, 0.08, 0.1, 0.15, 0.2])
def test_a_rebuilt_average_of_a_path_equals_the_one_that_was_tracked(std: float) -> None:
    """1,024 steps towards a point, with noise, and 32 snapshots of both stored averages."""
    rng, steps = torch.Generator().manual_seed(0), 1024
    noise = torch.randn(steps, 50, generator=rng, dtype=torch.float64).cumsum(0) / 32
    path = noise + torch.linspace(0, 1, steps, dtype=torch.float64).sqrt()[:, None]
    stored = torch.cat([directly(path, each)[31::32] for each in STDS])
    profiles = [Profile(float(end), exponent_of(each)) for each in STDS for end in range(32, steps + 1, 32)]
    rebuilt = mixture(profiles, Profile(float(steps), exponent_of(std))).weights @ stored
    exact = directly(path, std)[-1]
    assert (rebuilt - exact).norm() / exact.norm() < 1e-3


@pytest.mark.parametrize("std", [0.02, 0.05, 0.12, LONGEST])
def test_the_weights_of_a_mixture_sum_to_one(std: float) -> None:
    found = mixture(EVERY, Profile(1.0, exponent_of(std)))
    assert float(found.weights.sum()) == pytest.approx(1, abs=1e-12)
    assert mixture(EVERY[:2], Profile(1 / 32, exponent_of(std))).weights.sum() == pytest.approx(1, abs=1e-12)


def test_a_stored_average_is_its_own_mixture_and_a_far_one_has_an_error() -> None:
    for k, std in ((-2, 0.05), (-1, 0.1)):
        found = mixture(EVERY, Profile(1.0, exponent_of(std)))
        assert found.error < 1e-6
        assert float(found.weights[k]) == pytest.approx(1, abs=1e-6)
    assert mixture(EVERY[-2:], Profile(1.0, exponent_of(0.2))).error > 0.3
