"""Sharpness of samples: exact for known kernels, 1 for the real images, no direction."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from genbench.data import Split
from genbench.metrics import Reference, Sharpness, laplacian_energies
from genbench.records.metric_kinds import KINDS
from tests.metrics.sets import correlated, drawn_of, reference_of

LAPLACIAN = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float64)
BOX = torch.full((3, 3), 1 / 9, dtype=torch.float64)


def noise(n: int, side: int, seed: int, channels: int = 1) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, side, side), generator=rng, dtype=torch.uint8)


def real(images: Tensor, split: str = "train") -> Reference:
    return reference_of(correlated(len(images), 4, 0), split)._replace(images=Split(images, None))


def scores(images: Tensor, *references: Reference) -> dict[str, float]:
    samples = replace(drawn_of(correlated(len(images), 4, 0)), images=images)
    return Sharpness().compute(samples, references)


def sharpness(images: Tensor, of: Tensor) -> float:
    return scores(images, real(of))[f"sharpness[pixels,n={len(images)},ref=train,ema]"]


def blurred(images: Tensor, kernel: Tensor) -> Tensor:
    """Images convolved with a kernel, without a border, rounded to bytes."""
    return conv2d(images.double(), kernel[None, None]).round().clamp(0, 255).to(torch.uint8)


def squared_norm_of_product(kernel: Tensor) -> float:
    """|k * L|^2, the energy of the Laplacian after the kernel for independent pixels of variance 1."""
    whole = conv2d(LAPLACIAN[None, None], kernel[None, None], padding=2)
    return float(whole.square().sum())


def test_the_energy_is_the_mean_square_of_the_five_point_laplacian_by_a_convolution() -> None:
    images = noise(5, 7, 0, channels=3)
    answers = conv2d(images.double().flatten(0, 1)[:, None] / 255, LAPLACIAN[None, None])
    expected = answers.square().reshape(5, -1).mean(1)
    torch.testing.assert_close(laplacian_energies(images), expected, rtol=1e-12, atol=0)


def test_real_images_have_1_and_constant_images_0() -> None:
    images = noise(50, 8, 1)
    assert sharpness(images, images) == pytest.approx(1, rel=1e-12)
    assert sharpness(torch.full_like(images, 77), images) == 0
    assert scores(images, real(torch.zeros_like(images))) == {}


def test_a_linear_ramp_has_no_energy_and_one_bright_pixel_20() -> None:
    ramp = torch.arange(8, dtype=torch.uint8).expand(1, 1, 8, 8)
    assert float(laplacian_energies(ramp)) == 0
    spot = torch.zeros(1, 1, 9, 9, dtype=torch.uint8)
    spot[..., 4, 4] = 255
    assert float(laplacian_energies(spot)) * 7 * 7 == pytest.approx(16 + 4)


def test_blurring_independent_pixels_lowers_it_by_the_closed_form_factor() -> None:
    images = noise(400, 34, 2)
    for kernel in (BOX, torch.tensor([[0.0, 0, 0], [0.25, 0.5, 0.25], [0, 0, 0]], dtype=torch.float64)):
        factor = squared_norm_of_product(kernel) / 20
        assert factor < 0.3
        # 400 * 32^2 pixels: a standard deviation of 0.3 %; rounding adds 20 / 12 levels^2 to 20 * 5461.
        assert sharpness(blurred(images, kernel), images) == pytest.approx(factor, rel=0.02)


def test_blurring_images_of_any_spectrum_lowers_it_by_the_mean_of_the_transfer_function() -> None:
    """Periodic images: s = sum |K|^2 |L|^2 P / sum |L|^2 P over frequencies, P their own power."""
    rng = torch.Generator().manual_seed(3)
    waves = torch.fft.fftfreq(32, dtype=torch.float64)
    falling = 1 / (0.05 + waves[:, None] ** 2 + waves[None] ** 2)
    white = torch.fft.fft2(torch.randn(64, 32, 32, generator=rng, dtype=torch.float64))
    smooth = torch.fft.ifft2(white * falling).real
    transfer = ((1 + 2 * torch.cos(2 * torch.pi * waves)) / 3)[:, None].expand(
        32, 32
    )  # three pixels in a column
    power = (
        4 - 2 * torch.cos(2 * torch.pi * waves)[:, None] - 2 * torch.cos(2 * torch.pi * waves)[None]
    ) ** 2
    power = power * torch.fft.fft2(smooth).abs().square().mean(0)
    factor = float((transfer**2 * power).sum() / power.sum())
    scale = 20 / smooth.std()
    images, after = (
        (128 + scale * x).round().clamp(0, 255).to(torch.uint8)[:, None]
        for x in (smooth, torch.fft.ifft2(torch.fft.fft2(smooth) * transfer).real)
    )
    assert sharpness(after, images) == pytest.approx(factor, rel=0.03)  # the border pixels and the rounding


def test_noise_is_sharper_than_smooth_images_and_no_way_is_better() -> None:
    smooth = blurred(noise(60, 10, 4), BOX)
    assert sharpness(noise(60, 8, 5), smooth) > 3
    assert KINDS["sharpness"].better == 0


def test_each_split_has_a_value_with_an_interval_around_it() -> None:
    found = scores(noise(80, 8, 6), real(noise(90, 8, 7)), real(noise(70, 8, 8), "test"))
    for split in ("train", "test"):
        low, value, high = (
            found[f"sharpness{end}[pixels,n=80,ref={split},ema]"] for end in ("_low", "", "_high")
        )
        assert low < value < high


def test_images_without_an_inner_pixel_have_no_value() -> None:
    assert scores(noise(10, 2, 9), real(noise(10, 2, 9))) == {}
