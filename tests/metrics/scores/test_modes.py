"""Modes and likelihoods under a known law, on images made to have them."""

import math

import pytest
import torch
from torch import Tensor

from genbench.data import Gaussians, KnownDistribution, Split
from genbench.metrics.reference import Reference
from genbench.metrics.scores.frechet import Moments
from genbench.metrics.scores.modes import Modes, coverage, modes_of, total_variation
from genbench.metrics.scores.score import Drawn

LEAST, MOST = 5.04, 5.08  # bits: the entropy given the mode, and with the modes'


@pytest.fixture(scope="module")
def law() -> KnownDistribution:
    return Gaussians(classes=4, shift=0).distribution


def drawn(images: Tensor) -> Drawn:
    """As it comes to scores, on features that these do not look at."""
    x = torch.zeros(len(images), 1)
    images = images.reshape(-1, 1, 8, 8)
    return Drawn("none", "ema", 0, len(x), Moments.of(x), x, images, None, x)


def scores(images: Tensor, law: KnownDistribution | None) -> dict[str, float]:
    """The values of Modes by their kinds alone."""
    reference = Reference("train", "none", Moments(1), torch.empty(0), empty_split(), law)
    return {
        name.partition("[")[0]: value for name, value in Modes().compute(drawn(images), [reference]).items()
    }


def empty_split() -> Split:
    return Split(torch.zeros(0, 1, 8, 8, dtype=torch.uint8), None)


def of_law(law: KnownDistribution, n: int) -> Tensor:
    return law.draw(n, torch.Generator().manual_seed(9)).images


def test_images_of_the_law_lie_on_it(law: KnownDistribution) -> None:
    found = scores(of_law(law, 4000), law)
    assert found["modes"] == 1
    # The total variation of n draws is about sum_m sqrt(2 w (1 - w) / (pi n)) / 2 = 0.011.
    assert found["mode_tv"] < 0.03
    assert 0 < found["off_law"] < 0.004  # 1e-3, of 4,000: above 16 has a chance below 1e-6
    low, high = (nats / (64 * math.log(2)) for nats in law.entropy_bounds())
    assert (low, high) == (pytest.approx(LEAST, abs=0.01), pytest.approx(MOST, abs=0.01))
    assert low - 0.01 < found["law_bits"] < high + 0.01  # five standard errors
    assert found["law_bits_low"] < found["law_bits"] < found["law_bits_high"]


def test_one_mode_alone_is_one_share_and_misses_the_rest_of_the_weight(law: KnownDistribution) -> None:
    images, labels = law.draw(2000, torch.Generator().manual_seed(9))
    modes = modes_of(images[labels == 2], law)
    assert bool((modes == 2).all())
    assert coverage(modes, law) == 1 / 4
    assert total_variation(modes, law) == pytest.approx(1 - float(law.weights[2]), abs=1e-12)


def test_wrong_frequencies_are_the_total_variation(law: KnownDistribution) -> None:
    """As many images of each mode: half the sum of |1/4 - w|, exactly."""
    modes = modes_of(law.means.round().byte().repeat(10, 1), law)
    assert modes.tolist() == 10 * [0, 1, 2, 3]
    expected = float((law.weights - 0.25).abs().sum()) / 2
    assert total_variation(modes, law) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("kind", ["noise", "black", "white"])
def test_junk_lies_on_no_mode(law: KnownDistribution, kind: str) -> None:
    images = torch.full((300, 64), 255 * (kind == "white"), dtype=torch.uint8)
    if kind == "noise":
        images.random_(0, 256, generator=torch.Generator().manual_seed(0))
    found = scores(images, law)
    assert (found["modes"], found["mode_tv"], found["off_law"]) == (0, 1, 1)
    assert found["law_bits"] > 8


def test_an_image_between_two_modes_lies_on_neither(law: KnownDistribution) -> None:
    between = ((law.means[0] + law.means[1]) / 2).round().byte()[None]
    assert modes_of(between, law).tolist() == [-1]


def test_images_without_noise_are_on_the_modes_and_too_likely(law: KnownDistribution) -> None:
    """Bits below the entropy tell what a distance to the modes cannot."""
    m = torch.multinomial(law.weights, 1000, replacement=True)
    found = scores(law.means[m].round().byte(), law)
    assert (found["modes"], found["off_law"]) == (1, 0)
    # What the noise adds to -log p, E eps^2 / 2 = 1/2 nat a pixel, is missing.
    assert found["law_bits"] == pytest.approx(LEAST - 0.5 / math.log(2), abs=0.05)


def test_images_with_too_much_noise_are_off_the_law_and_near_their_modes(
    law: KnownDistribution,
) -> None:
    images = of_law(law, 500)
    more = images + 8 * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    found = scores(more.round().clamp(0, 255).byte(), law)
    assert found["modes"] == 1
    assert found["off_law"] > 0.5  # twice the variance costs 32 nats; the threshold lies 18 below the mean


def test_a_set_whose_law_is_not_known_has_no_such_scores(law: KnownDistribution) -> None:
    assert scores(of_law(law, 30), None) == {}


@pytest.mark.parametrize(("radius", "tail"), [(0.0, 0.1), (2.0, 0.0), (2.0, 1.0)])
def test_settings_that_count_nothing_are_refused(radius: float, tail: float) -> None:
    with pytest.raises(ValueError, match=r"scores\.modes\.(radius|tail) is"):
        Modes(radius, tail)
