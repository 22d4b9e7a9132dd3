"""A known law, held to what can be counted: all images of a tiny one, and many draws."""

import itertools
import math

import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from genbench.data.known_distribution import LEVELS, KnownDistribution, rounded_normal


def tiny(levels: int = 4, *, dimensions: int = 3) -> KnownDistribution:
    """Three modes of two classes on images of 3 pixels that have 4 levels: 64 images in all."""
    rng = torch.Generator().manual_seed(5)
    logits = torch.full((3, dimensions, LEVELS), -math.inf, dtype=torch.float64)
    logits[..., :levels] = 2 * torch.randn(3, dimensions, levels, generator=rng, dtype=torch.float64)
    # No mass is not 0 times minus infinity: e^-800 is 0 in float64, and stays finite as a logarithm.
    log_levels = logits.log_softmax(-1).clamp(min=-800)
    return KnownDistribution(torch.tensor([5.0, 3.0, 2.0]), log_levels, torch.tensor([0, 1, 0]), key="00")


def all_images(levels: int = 4, dimensions: int = 3) -> Tensor:
    return torch.tensor(list(itertools.product(range(levels), repeat=dimensions)), dtype=torch.uint8)


def test_the_probabilities_of_all_images_sum_to_one() -> None:
    law, images = tiny(), all_images()
    assert float(law.log_prob(images).exp().sum()) == pytest.approx(1, abs=1e-12)
    for k in (0, 1):
        given = law.log_prob(images, torch.full((64,), k))
        assert float(given.exp().sum()) == pytest.approx(1, abs=1e-12)


def test_the_density_is_the_product_rule_written_out() -> None:
    law, image = tiny(), (3, 0, 2)
    joint = [
        float(w * math.prod(law.log_levels[m, i, u].exp() for i, u in enumerate(image)))
        for m, w in enumerate([0.5, 0.3, 0.2])
    ]
    u = torch.tensor([image], dtype=torch.uint8)
    assert float(law.log_prob(u)) == pytest.approx(math.log(sum(joint)), rel=1e-12)
    assert float(law.log_prob(u, torch.tensor([0]))) == pytest.approx(
        math.log((joint[0] + joint[2]) / 0.7), rel=1e-12
    )
    assert law.log_classes(u).exp()[0].tolist() == pytest.approx([joint[0] + joint[2], joint[1]], rel=1e-12)


def test_draws_come_as_often_as_the_density_says() -> None:
    """Chi-square over 64 images and two labels each, n = 100,000; seeded, p above 1e-4."""
    law, n = tiny(), 100_000
    images, labels = law.draw(n, torch.Generator().manual_seed(1))
    cells = torch.tensor([16, 4, 1]) @ images.long().T + 64 * labels
    seen = torch.bincount(cells, minlength=128).double()
    expected = n * law.log_classes(all_images()).exp().T.flatten()
    often = expected >= 5
    assert int(seen[expected < 1e-6].sum()) == 0
    pooled = [torch.cat([x[often], x[~often].sum()[None]]).tolist() for x in (seen, expected)]
    assert stats.chisquare(*pooled).pvalue > 1e-4


def test_the_mean_of_minus_log_p_is_the_entropy_that_enumeration_gives() -> None:
    law = tiny()
    log_p = law.log_prob(all_images())
    entropy = -float((log_p.exp() * log_p).sum())
    low, high = law.entropy_bounds()
    assert low < entropy < high
    drawn = -law.log_prob(law.draw(50_000, torch.Generator().manual_seed(2)).images)
    error = float(drawn.std()) / math.sqrt(len(drawn))
    assert float(drawn.mean()) == pytest.approx(entropy, abs=5 * error)  # five standard errors


def test_the_bounds_of_the_entropy_meet_where_modes_do_not_overlap() -> None:
    apart = rounded_normal(torch.tensor([[30.0], [200.0]]), 4.0)
    law = KnownDistribution(torch.ones(2), apart, torch.tensor([0, 1]), key="00")
    log_p = law.log_prob(torch.arange(LEVELS, dtype=torch.uint8)[:, None])
    assert law.entropy_bounds()[1] == pytest.approx(-float((log_p.exp() * log_p).sum()), abs=1e-9)


def test_the_moments_are_those_of_the_enumerated_law() -> None:
    law, images = tiny(), all_images()
    p, u = law.log_prob(images).exp(), images.double()
    mean = p @ u
    assert torch.allclose(law.mean, mean, atol=1e-12)
    assert torch.allclose(law.cov, (p * (u - mean).T) @ (u - mean), atol=1e-12)


@pytest.mark.parametrize(("mean", "spread"), [(100.0, 8.0), (250.0, 20.0), (3.3, 1.5), (40.0, 64.0)])
def test_a_rounded_normal_is_what_rounding_a_normal_variable_gives(mean: float, spread: float) -> None:
    p = rounded_normal(torch.tensor(mean), spread).exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-12)
    for u in (0, 1, 30, 128, 254, 255):
        edges = (-math.inf if u == 0 else u - 0.5, math.inf if u == 255 else u + 0.5)
        exact = integrate.quad(stats.norm(mean, spread).pdf, *edges, points=None)[0]
        assert float(p[u]) == pytest.approx(exact, rel=1e-6, abs=1e-12)


def test_a_rounded_normal_keeps_its_digits_in_both_tails() -> None:
    """100 spreads away, where probabilities underflow, the leading term is -z^2 / 2 of the nearer edge."""
    for mean, u in ((10.0, 210), (245.0, 45)):
        log_p = float(rounded_normal(torch.tensor(mean), 2.0)[u])
        z = (abs(u - mean) - 0.5) / 2
        assert log_p == pytest.approx(-z * z / 2 - math.log(z * math.sqrt(2 * math.pi)), abs=1e-3)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"they must be \(M,\), \(M, D, 256\)"):
        KnownDistribution(torch.ones(2), torch.zeros(2, 3, 255), torch.zeros(2).long(), key="00")
    with pytest.raises(ValueError, match="the distribution is of images of 3 bytes"):
        tiny().log_prob(torch.zeros(2, 4, dtype=torch.uint8))
