"""The condition of super-resolution: small images, their noise in training and in sampling."""

import pytest
import torch
from torch import Tensor, nn

from genbench.diffusion.low_resolution import Condition, Conditioned, LowResolution, eight_bit
from genbench.nn.unet import UNet


def small_images(n: int = 8) -> Tensor:
    levels = torch.randint(256, (n, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    return levels / 127.5 - 1


def test_small_images_are_the_nearest_grey_levels_of_means_of_squares() -> None:
    x = torch.full((1, 1, 4, 4), -1.0)
    x[0, 0, :2, :2] = torch.tensor([[-1.0, 1.0], [1.0, 1.0]])
    assert LowResolution().low(x).add(1).mul(127.5).round().tolist() == [[[[191.0, 0.0], [0.0, 0.0]]]]
    assert LowResolution(factor=4).low(x).shape == (1, 1, 1, 1)


def test_no_number_of_a_small_image_is_lost_when_it_is_enlarged() -> None:
    for factor in (2, 4):
        condition, low = LowResolution(factor=factor), small_images()
        assert torch.allclose(condition.low(condition.enlarged(low)), low, atol=1e-6)
    assert torch.allclose(eight_bit(torch.tensor([-2.0, 2.0])), torch.tensor([-1.0, 1.0]))


def test_without_augmentation_the_condition_is_the_clean_image() -> None:
    low, condition = small_images(), LowResolution(augmentation=0.0)
    seen = condition.in_sampling(low, torch.Generator().manual_seed(0))
    assert torch.equal(seen.images, condition.enlarged(low))
    assert seen.level.tolist() == [0.0] * 8
    never = LowResolution(augmentation=0.0, max_augmentation=0.0).in_training(low)
    assert torch.equal(never.images, condition.enlarged(low))


def test_noise_in_sampling_has_the_deviation_of_its_level_and_the_images_fade() -> None:
    """Of 16,000 numbers: five standard errors of a deviation are below 0.03 s."""
    low = torch.full((1000, 1, 4, 4), 0.5)
    seen = LowResolution(augmentation=0.4).in_sampling(low, torch.Generator().manual_seed(0))
    pooled = seen.images[..., ::2, ::2]
    assert float(pooled.mean()) == pytest.approx(0.5 * (1 - 0.4**2) ** 0.5, abs=0.02)
    assert float(pooled.std()) == pytest.approx(0.4, rel=0.03)
    assert torch.equal(seen.level, torch.full((1000,), 0.4))


def test_levels_of_training_are_uniform_up_to_the_largest_and_told() -> None:
    torch.manual_seed(0)
    seen = LowResolution(max_augmentation=0.6).in_training(torch.zeros(4000, 1, 4, 4))
    level = seen.level.double().sort().values
    uniform = 0.6 * (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    assert float((level - uniform).abs().max()) < 0.6 * 2.8 / 4000**0.5  # Kolmogorov-Smirnov, far below 1e-6
    spread = seen.images[..., ::2, ::2].flatten(1).std(1)
    assert float((spread / seen.level.clamp(min=1e-6)).mean()) == pytest.approx(0.983, abs=0.02)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"factor": 1}, r"factor is 1; it must be at least 2"),
        ({"max_augmentation": 1.5}, r"max_augmentation is 1\.5; it must be from 0 to 1"),
        ({"augmentation": 0.6}, r"augmentation is 0\.6; .*max_augmentation=0\.5"),
        ({"augmentation": -0.1}, r"augmentation is -0\.1"),
    ],
)
def test_numbers_outside_their_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LowResolution(**settings)


@pytest.mark.parametrize(
    ("shape", "factor", "message"),
    [
        ((1, 8, 8), 3, r"factor is 3; it must divide the image of 8x8: use 2 or 4 or 8"),
        ((1, 28, 28), 8, "use 2 or 4 or 7"),
        ((1, 7, 11), 2, "resize the images to even sides"),
    ],
)
def test_a_factor_that_does_not_divide_the_sides_is_refused_with_those_that_do(
    shape: tuple[int, int, int], factor: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        LowResolution(factor=factor).shape(shape)
    assert LowResolution().shape((3, 32, 28)) == (3, 16, 14)


def test_two_estimates_of_a_batch_at_once_have_the_condition_of_each_image() -> None:
    torch.manual_seed(0)
    network = UNet((1, 8, 8), 2, width=8, multipliers=[1], inputs=2)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    conditioned = Conditioned(network, Condition(torch.randn(3, 1, 8, 8), torch.rand(3)))
    x, t, y = torch.randn(3, 1, 8, 8), torch.rand(3), torch.tensor([0, 1, 2])
    with torch.no_grad():
        once, again = conditioned(torch.cat([x, x]), torch.cat([t, t]), torch.cat([y, 2 - y])).chunk(2)
        # The larger batch may round differently.
        torch.testing.assert_close(once, conditioned(x, t, y), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(again, conditioned(x, t, 2 - y), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("again", [1, 2])
def test_the_network_sees_maps_in_the_layout_of_the_images(again: int) -> None:
    """Another layout would make each convolution of the network copy its input."""
    seen: list[Tensor] = []

    class Network(nn.Module):
        def forward(self, maps: Tensor, t: Tensor, y: None, level: Tensor) -> Tensor:
            seen.extend([maps, level])
            return maps

    x, images = (torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last) for _ in range(2))
    conditioned = Conditioned(Network(), Condition(images, torch.tensor([0.1, 0.2])))
    conditioned(torch.cat([x] * again), torch.zeros(1))
    maps, level = seen
    assert maps.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(maps, torch.cat([torch.cat([x, images], dim=1)] * again))
    assert level.tolist() == pytest.approx([0.1, 0.2] * again)
