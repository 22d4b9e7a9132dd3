"""Every transform, alone: its inverse, and its change of volume by autograd."""

from collections.abc import Callable

import pytest
import torch

from genbench.flows.actnorm import ActNorm
from genbench.flows.conv1x1 import Conv1x1
from genbench.flows.coupling import Additive, Affine, Channels, Checkerboard, CouplingLayer, asinh
from genbench.flows.multiscale import FactorOut
from genbench.flows.pixels import Logit, Plain
from genbench.flows.squeeze import Squeeze
from genbench.flows.transform import Composed, Flatten, Transform, TwoWay
from genbench.nn.coupling import ConvNets
from tests.flows.laws import jacobian_log_det, noise, pixels, shaken

SHAPES = [(2, 4, 4), (3, 2, 6), (4, 3, 5)]
NETS = ConvNets(3, width=4)


def normed(shape: tuple[int, int, int]) -> ActNorm:
    """With the statistics of a batch."""
    norm = ActNorm(shape[0])
    norm(3 * torch.randn(8, *shape, generator=torch.Generator().manual_seed(0)) + 1)
    return norm


CASES: dict[str, Callable[[tuple[int, int, int]], Transform]] = {
    "actnorm": normed,
    "conv1x1": lambda shape: Conv1x1(shape[0]),
    "affine channels": lambda shape: CouplingLayer(Channels(shape), Affine(2.0), NETS),
    "affine channels swapped": lambda shape: CouplingLayer(Channels(shape, swap=True), Affine(2.0), NETS),
    "affine checkerboard": lambda shape: CouplingLayer(Checkerboard(shape), Affine(2.0), NETS),
    "additive checkerboard": lambda shape: CouplingLayer(Checkerboard(shape, swap=True), Additive(), NETS),
    "additive channels": lambda shape: CouplingLayer(Channels(shape), Additive(), NETS),
    "flatten": Flatten,
    "split": lambda shape: FactorOut(shape, Flatten((shape[0] - shape[0] // 2, *shape[1:])), NETS, bound=3.0),
    "composed": lambda shape: Composed(
        [Conv1x1(shape[0]), CouplingLayer(Channels(shape), Affine(2.0), NETS)]
    ),
    "squeeze": lambda shape: Squeeze(shape, 2 if shape[1] % 2 == 0 and shape[2] % 2 == 0 else 1),
}
PIXELS = [Plain(), Logit(0.05), Logit(1e-4)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_the_inverse_brings_back_what_went_in(name: str, shape: tuple[int, int, int]) -> None:
    transform, x, y = shaken(CASES[name](shape)), noise(5, *shape), torch.arange(5) % 3
    z, log_det = transform(x, y)
    assert z.numel() == x.numel()
    assert log_det.shape == (5,)
    assert torch.allclose(transform.inverse(z, y), x, atol=1e-9)  # float64


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_log_det_is_that_of_the_jacobian(name: str, shape: tuple[int, int, int]) -> None:
    transform, x, y = shaken(CASES[name](shape)), noise(2, *shape), torch.arange(2)
    assert torch.allclose(transform(x, y)[1], jacobian_log_det(transform, x, y), atol=1e-8)


@pytest.mark.parametrize("transform", PIXELS, ids=["plain", "logit", "logit, steep"])
def test_pixels_come_back_and_change_volume_as_their_jacobian_says(transform: Transform) -> None:
    x = pixels(3, (2, 3, 4))
    z, log_det = transform(x)
    assert torch.allclose(transform.inverse(z), x, atol=1e-8)
    assert torch.allclose(log_det, jacobian_log_det(transform, x), atol=1e-8)


@pytest.mark.parametrize("transform", PIXELS, ids=["plain", "logit", "logit, steep"])
def test_the_darkest_and_the_brightest_pixel_stay_finite_in_float32(transform: Transform) -> None:
    x = torch.tensor([0.0, 256.0]).reshape(2, 1, 1, 1)
    z, log_det = transform(x)
    assert bool(z.isfinite().all() & log_det.isfinite().all())


@pytest.mark.parametrize("alpha", [0.0, 0.5, -1.0])
def test_an_alpha_outside_its_interval_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=f"pixels.alpha is {alpha}"):
        Logit(alpha)


def test_squares_that_do_not_tile_the_map_are_refused() -> None:
    with pytest.raises(ValueError, match="squares of 2x2 do not tile a map of 7x4"):
        Squeeze((1, 7, 4), 2)


def test_a_single_channel_has_no_halves() -> None:
    with pytest.raises(ValueError, match=r"single channel.*flow=realnvp"):
        Channels((1, 7, 7))


def test_a_coupling_starts_as_the_identity() -> None:
    x = noise(2, 4, 3, 3).float()
    z, log_det = CouplingLayer(Channels((4, 3, 3)), Affine(2.0), ConvNets(width=4))(x)
    assert torch.equal(z, x)
    assert torch.equal(log_det, torch.zeros(2))


def test_the_scale_of_a_coupling_is_bounded() -> None:
    raw = torch.cat([torch.full((1, 1, 1, 1), 1e6), torch.zeros(1, 1, 1, 1)], dim=1)
    _, log_det = Affine(1.5).forward(torch.ones(1, 1, 1, 1), raw)
    assert float(log_det) == pytest.approx(1.5)
    with pytest.raises(ValueError, match=r"coupling.bound is 0"):
        Affine(0)


def test_a_rotation_mixes_channels_at_first_and_keeps_volume() -> None:
    conv = Conv1x1(6).double()
    x = noise(2, 6, 3, 3)
    z, log_det = conv(x)
    assert torch.allclose(z.square().sum(), x.square().sum(), rtol=1e-5)  # its parameters began in float32
    assert torch.allclose(log_det, torch.zeros(2, dtype=torch.float64), atol=1e-5)


def test_calls_in_both_directions_pass_through_one_module() -> None:
    flow, x = TwoWay(Conv1x1(2)), noise(2, 2, 2, 2).float()
    calls: list[int] = []
    flow.register_forward_hook(lambda module, inputs, output: calls.append(len(inputs[0])))
    z, _ = flow(x, None)
    back, nothing = flow(z, None, reverse=True)
    assert torch.allclose(back, x, atol=1e-5)
    assert nothing is None
    assert calls == [2, 2]


def test_bf16_reaches_the_networks_alone() -> None:
    """Products of matrices, sums of logarithms and the state stay in float32, so the inverse stays exact."""
    norm, conv = ActNorm(4), Conv1x1(4)
    flow = Composed([norm, conv, CouplingLayer(Channels((4, 4, 4)), Affine(2.0), ConvNets(width=8))])
    flow = shaken(flow).float()
    x = noise(4, 4, 4, 4).float()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        z, log_det = flow(x)
        back = flow.inverse(z)
    assert z.dtype == log_det.dtype == back.dtype == torch.float32
    assert torch.allclose(back, x, atol=1e-4)  # the networks answer alike both ways, whatever their precision


def test_asinh_is_torchs_to_the_last_digits_however_far_the_number() -> None:
    size = torch.logspace(-30, 38, 10_000)
    x = torch.cat([-size, torch.zeros(1), size])
    exact = x.double().asinh()
    assert ((asinh(x) - exact).abs() <= 3e-7 * exact.abs()).all()  # three roundings of float32
    x = torch.linspace(-3, 3, 12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(asinh, x)
    assert torch.autograd.gradgradcheck(asinh, x)


def test_successive_maps_of_channels_are_one_product_with_the_same_values_and_slopes() -> None:
    """Composed joins ActNorm and a 1x1 convolution, once statistics are there; float64, sums of 4 numbers."""
    transform, x = Composed([ActNorm(4), Conv1x1(4)]), noise(3, 4, 2, 5)
    transform.train().double()
    transform(x)  # takes the statistics, one after the other
    shaken(transform)
    x.requires_grad_()
    (z, log_det), (h, of_norm) = transform(x), transform.transforms[0](x)
    plain, of_mixing = transform.transforms[1](h)
    torch.testing.assert_close(z, plain, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(log_det, of_norm + of_mixing)
    total, parts = log_det[:, None, None, None], (of_norm + of_mixing)[:, None, None, None]
    wanted, weights = [x, *transform.parameters()], torch.randn(z.shape, dtype=z.dtype)
    slopes = (torch.autograd.grad((y * weights + v).sum(), wanted) for y, v in ((z, total), (plain, parts)))
    mine, theirs = slopes
    torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
