"""The Gaussian fitted to latents."""

import pytest
import torch

from genbench.vaes.density import GaussianDensity


def stream(n: int) -> torch.Tensor:
    """n draws of a correlated Gaussian in three dimensions."""
    rng = torch.Generator().manual_seed(0)
    mixing = torch.tensor([[1.0, 0.0, 0.0], [2.0, 0.5, 0.0], [-1.0, 0.3, 0.1]])
    return torch.randn(n, 3, generator=rng) @ mixing.T + torch.tensor([1.0, -2.0, 30.0])


def test_moments_of_few_batches_are_those_of_all_their_latents() -> None:
    density, z = GaussianDensity(3, window=100), stream(640)
    for batch in z.split(64):
        density.update(batch)
    assert torch.allclose(density.mean[0], z.mean(0), atol=1e-4)
    assert torch.allclose(density.covariance[0], torch.cov(z.T, correction=0), atol=1e-4)


def test_old_batches_are_forgotten() -> None:
    density = GaussianDensity(3, window=2)
    density.update(stream(64) + 1e3)
    for _ in range(40):
        density.update(stream(64))
    assert torch.allclose(density.mean[0], stream(64).mean(0), atol=1e-2)


def test_each_class_has_its_own_moments() -> None:
    density, z, y = GaussianDensity(3, 3), stream(60), torch.arange(60) % 2
    for part, labels in zip(z.split(20), y.split(20), strict=True):
        density.update(part, labels)
    for label in (0, 1):
        own = z[y == label]
        assert torch.allclose(density.mean[label], own.mean(0), atol=1e-4)
        assert torch.allclose(density.covariance[label], torch.cov(own.T, correction=0), atol=1e-4)
    assert torch.equal(density.mean[2], torch.zeros(3))  # a class never seen is as it was
    drawn = density.sample(4000, torch.ones(4000, dtype=torch.int64), rng=torch.Generator().manual_seed(0))
    std = density.covariance[1].diagonal().sqrt()
    assert bool(((drawn.mean(0) - density.mean[1]).abs() < 6 * std / 63).all())


def test_samples_have_the_fitted_moments() -> None:
    """n = 200,000: the standard error of a mean is std / 447, the bounds stand at more than six of them."""
    density = GaussianDensity(3)
    density.update(stream(1000))
    z = density.sample(200_000, rng=torch.Generator().manual_seed(1))
    std = density.covariance[0].diagonal().sqrt()
    assert bool(((z.mean(0) - density.mean[0]).abs() < 6 * std / 447).all())
    assert torch.allclose(torch.cov(z.T), density.covariance[0], atol=0.15)


def test_a_direction_without_variance_can_be_sampled() -> None:
    density = GaussianDensity(3)
    density.update(torch.zeros(8, 3))
    assert bool(density.sample(4).isfinite().all())


def test_before_the_first_batch_it_is_the_standard_normal() -> None:
    a, b = (torch.Generator().manual_seed(0) for _ in range(2))
    assert torch.allclose(GaussianDensity(3).sample(5, rng=a), torch.randn(5, 3, generator=b), atol=1e-5)


def test_its_state_is_restored() -> None:
    density, twin = GaussianDensity(3), GaussianDensity(3)
    density.update(stream(64))
    twin.load_state_dict(density.state_dict())
    for each in (density, twin):
        each.update(stream(64) + 1)
    assert torch.equal(density.covariance, twin.covariance)


def test_bad_settings_are_refused_with_the_value() -> None:
    with pytest.raises(ValueError, match="window is 0"):
        GaussianDensity(3, window=0)


@pytest.mark.parametrize("images", [2, 3, 5])
def test_latents_of_fewer_images_than_dimensions_can_be_sampled(images: int) -> None:
    density = GaussianDensity(32)
    points = 100 * torch.randn(images, 32, generator=torch.Generator().manual_seed(images))
    for number in range(50):
        index = torch.randint(images, (64,), generator=torch.Generator().manual_seed(number))
        density.update(points[index])
    drawn = density.sample(1000, rng=torch.Generator().manual_seed(0)) - density.mean[0]
    assert bool(drawn.isfinite().all())
    # The samples lie in the plane of the points, up to the jitter.
    axes = torch.linalg.svd(points - points.mean(0)).Vh[images - 1 :]
    assert (drawn @ axes.T).std() < 0.02 * drawn.std()
