"""Whole flows: inverses with all latents, Jacobians, and densities that integrate to 1."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from genbench.flows.architectures import Glow, RealNVP
from genbench.flows.base_distribution import StandardNormal
from genbench.flows.coupling import Additive, Affine
from genbench.flows.pixels import Logit, Plain
from genbench.flows.transform import Transform
from genbench.nn.coupling import ConvNets, ResNets
from tests.flows.laws import jacobian_log_det, pixels, shaken, small_glow, small_realnvp

BUILDERS: list[Callable[..., Transform]] = [small_glow, small_realnvp]
SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (2, 7, 5), (3, 12, 20)]


def statistics_taken(flow: Transform, shape: tuple[int, int, int], y: Tensor | None = None) -> Transform:
    """The flow after the first batch of a training."""
    flow.train()(pixels(4, shape).float(), y)
    return flow


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("build", BUILDERS)
def test_the_inverse_with_all_latents_brings_back_the_image(
    build: Callable[..., Transform], shape: tuple[int, int, int]
) -> None:
    flow = shaken(statistics_taken(build(shape), shape), 0.1)
    x = pixels(2, shape)
    z, _ = flow(x)
    assert z.shape == (2, math.prod(shape))
    assert torch.allclose(flow.inverse(z), x, atol=1e-6)  # float64, of numbers up to 256


@pytest.mark.parametrize("build", BUILDERS)
def test_the_inverse_is_exact_to_a_fraction_of_a_grey_level_in_float32(
    build: Callable[..., Transform],
) -> None:
    flow = shaken(statistics_taken(build((3, 16, 16)), (3, 16, 16)), 0.1).float()
    x = pixels(4, (3, 16, 16)).float()
    assert float((flow.inverse(flow(x)[0]) - x).abs().max()) < 0.05


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 8, 8), (3, 4, 4), (2, 5, 3)], ids=str)
@pytest.mark.parametrize("build", BUILDERS)
def test_log_det_is_that_of_the_jacobian(
    build: Callable[..., Transform], shape: tuple[int, int, int]
) -> None:
    flow = shaken(
        statistics_taken(build(shape, 3), shape, torch.tensor([0, 1, 2, 0]))
        if shape != (2, 5, 3)
        else build(shape, 3),
        0.1,
    )
    x, y = pixels(2, shape), torch.tensor([0, 2])
    assert torch.allclose(flow(x, y)[1], jacobian_log_det(flow, x, y), atol=1e-6)


@pytest.mark.parametrize("function", [Affine(2.0), Additive()], ids=["affine", "additive"])
def test_each_coupling_function_gives_an_invertible_glow(function: Affine | Additive) -> None:
    flow, x = shaken(small_glow((1, 8, 8), function=function)), pixels(2, (1, 8, 8))
    assert torch.allclose(flow.inverse(flow(x)[0]), x, atol=1e-6)


@pytest.mark.parametrize("pixel_map", [Plain(), Logit(0.05)], ids=["plain", "logit"])
def test_the_density_of_a_flow_in_two_dimensions_integrates_to_one(pixel_map: Transform) -> None:
    """Images of two pixels, on a grid over all that carries mass."""
    nets = ResNets(width=8, blocks=1)
    flow = shaken(Glow((2, 1, 1), pixels=pixel_map, coupling=Affine(0.5), networks=nets, steps=3), 0.15)
    # The logit's line ends a little beyond black and white; the straight line's does not end.
    low, high = (-14.2, 270.2) if isinstance(pixel_map, Logit) else (-1500.0, 1756.0)
    edges = torch.linspace(low, high, 301, dtype=torch.float64)
    middle = (edges[1:] + edges[:-1]) / 2
    mass = sum(float(density(flow, row).sum()) for row in grid(middle)) * float(edges[1] - edges[0]) ** 2
    assert mass == pytest.approx(1.0, abs=2e-3)  # of the midpoint rule


def grid(points: Tensor) -> list[Tensor]:
    """All pairs, in blocks: (N, 2, 1, 1) each."""
    return [torch.cartesian_prod(block, points).reshape(-1, 2, 1, 1) for block in points.split(100)]


@torch.no_grad()
def density(flow: Transform, x: Tensor) -> Tensor:
    z, log_det = flow(x)
    log_density = StandardNormal().log_prob(z) + log_det
    return log_density.exp().nan_to_num(0.0)  # no density where a logit does not exist


def test_levels_end_where_a_map_cannot_be_halved() -> None:
    """28 -> 14 -> 7: any number of levels above two is two, and no pixel is padded."""
    two, many = (
        sum(p.numel() for p in small_glow((1, 28, 28), levels=levels).parameters()) for levels in (2, 5)
    )
    assert two == many


@pytest.mark.parametrize("kind", [Glow, RealNVP])
@pytest.mark.parametrize("wrong", [{"levels": 0}, {"steps": 0}], ids=str)
def test_counts_below_one_are_refused(kind: type[Glow] | type[RealNVP], wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"flow\.(levels|steps) is 0"):
        kind((1, 8, 8), pixels=Plain(), coupling=Affine(), networks=ConvNets(width=4), **wrong)


def test_a_patch_that_does_not_divide_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="squares of 3x3 do not tile a map of 8x8"):
        Glow((1, 8, 8), pixels=Plain(), coupling=Affine(), networks=ConvNets(width=4), patch=3)


def test_labels_change_the_flow_of_a_conditional_model() -> None:
    flow, x = shaken(small_glow((1, 4, 4), 2)), pixels(1, (1, 4, 4))
    first, second = (flow(x, torch.tensor([label]))[0] for label in (0, 1))
    assert not torch.allclose(first, second)
