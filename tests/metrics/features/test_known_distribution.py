"""Features and distances of a set whose law is known."""

import math

import pytest
import torch

from genbench.data import Digits, Gaussians, KnownDistribution, Split
from genbench.metrics.features.known_distribution import LawExtractor, LawFeatures, exact_moments
from genbench.metrics.reference import Reference
from genbench.metrics.scores.fd_exact import ExactFD
from genbench.metrics.scores.frechet import Moments, frechet_distance
from genbench.metrics.scores.inception_score import inception_score
from genbench.metrics.scores.score import Drawn


@pytest.fixture(scope="module")
def law() -> KnownDistribution:
    return Gaussians(classes=3, shift=1).distribution


def test_the_exact_moments_are_those_of_many_images(law: KnownDistribution) -> None:
    """The distance of n draws to their law falls as 1/n: each sixteenfold n takes a sixteenth, by half."""
    exact, rng = exact_moments(law), torch.Generator().manual_seed(0)
    distances = []
    for n in (250, 4000):
        images = law.draw(n, rng).images
        distances.append(frechet_distance(Moments.of(images / 127.5 - 1), exact))
    assert distances[1] / distances[0] == pytest.approx(1 / 16, rel=0.5)
    assert frechet_distance(exact, exact) == pytest.approx(0, abs=1e-9)


def test_a_shift_of_all_pixels_is_its_square(law: KnownDistribution) -> None:
    exact, moved = exact_moments(law), exact_moments(law)
    moved.mean = moved.mean + 0.5
    assert frechet_distance(moved, exact) == pytest.approx(64 * 0.25, rel=1e-9)


def test_the_logits_are_the_laws_own_classifier(law: KnownDistribution) -> None:
    images, labels = law.draw(300, torch.Generator().manual_seed(0))
    features, logits = LawExtractor(law)(images.reshape(-1, 1, 8, 8))
    assert torch.equal(features, images.float() / 127.5 - 1)
    posterior = logits.double().softmax(1)
    expected = (law.log_classes(images) - law.log_prob(images)[:, None]).exp()
    assert torch.allclose(posterior, expected, atol=1e-4)  # log-probabilities of some -230 in float32
    assert torch.equal(posterior.argmax(1), labels)


def test_the_distance_is_taken_on_pixels_whatever_the_features(law: KnownDistribution) -> None:
    images = law.draw(500, torch.Generator().manual_seed(0)).images.reshape(-1, 1, 8, 8)
    x = torch.zeros(500, 1)
    drawn = Drawn("other", "ema", 0, 500, Moments.of(x), x, images, None, x)
    reference = Reference("train", "other", Moments(1), x, Split(images, None), law)
    found = ExactFD().compute(drawn, [reference])
    value = found[f"fd_exact[pixels-{law.key[:8]},n=500,ref=law,ema]"]
    assert value == pytest.approx(
        frechet_distance(Moments.of(images.flatten(1) / 127.5 - 1), exact_moments(law)), rel=1e-9
    )
    assert 0 < value < 0.5 * math.sqrt(64)
    assert ExactFD().compute(drawn, [reference._replace(distribution=None)]) == {}


def test_a_set_whose_law_is_not_known_has_no_such_features() -> None:
    LawFeatures().check(Gaussians())
    with pytest.raises(ValueError, match=r"the distribution of digits is not known.*: use"):
        LawFeatures().check(Digits())


def test_images_of_a_single_class_have_an_inception_score_of_one(law: KnownDistribution) -> None:
    """The other classes have no share that a float could hold, and still no nan."""
    images, labels = law.draw(400, torch.Generator().manual_seed(1))
    alike = images[labels == 0][:1].expand(40, -1).reshape(-1, 1, 8, 8)
    score, _ = inception_score(LawExtractor(law)(alike).logits, splits=2, seed=0)
    assert score == pytest.approx(1, abs=1e-9)
