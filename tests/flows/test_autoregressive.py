"""Autoregressive flows: triangular Jacobians, inverses token by token, densities that integrate to 1."""

import math

import pytest
import torch
from torch import Tensor

from genbench.flows.autoregressive import CausalLayer, TarFlow
from genbench.flows.base_distribution import StandardNormal
from genbench.flows.coupling import Additive, Affine, CouplingFunction
from genbench.flows.mixture import MixtureCdf
from genbench.flows.pixels import Plain
from genbench.flows.transform import Away
from genbench.nn.causal_transformer import CausalTransformers
from genbench.probability.token_cache import Cache
from tests.flows.laws import jacobian_log_det, noise, pixels, shaken

Shape = tuple[int, int, int]
FUNCTIONS = [Affine(2.0), Additive(), MixtureCdf(2)]
EACH = pytest.mark.parametrize("function", FUNCTIONS, ids=["affine", "additive", "mixture"])


def networks(num_classes: int = 0) -> CausalTransformers:
    torch.manual_seed(0)
    return CausalTransformers(num_classes, width=8, blocks=1, heads=2)


def layer(
    *, backwards: bool = False, function: CouplingFunction | None = None, classes: int = 0
) -> CausalLayer:
    of = CausalLayer((2, 2, 3), function or Affine(2.0), networks(classes), backwards=backwards)
    shaken(of)
    return of


def tarflow(
    shape: Shape, classes: int = 0, *, function: CouplingFunction | None = None, patch: int = 2
) -> TarFlow:
    nets = networks(classes)
    of = TarFlow(
        shape, pixels=Plain(), coupling=function or Affine(2.0), networks=nets, layers=2, patch=patch
    )
    shaken(of, 0.1)
    return of


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_a_token_depends_on_itself_and_those_before_it_alone(backwards: bool) -> None:
    of, x = layer(backwards=backwards), noise(1, 2, 2, 3)
    jacobian = torch.autograd.functional.jacobian(lambda v: of(v)[0], x)[0, :, :, :, 0]
    slopes = jacobian.flatten(1, 2).flatten(3).abs().amax((0, 2))  # (T of z, T of x)
    places = torch.arange(6)
    seen = places[:, None] <= places if backwards else places[:, None] >= places
    assert bool((slopes[~seen] == 0).all())
    assert bool((slopes[seen] > 0).all())


@EACH
def test_log_det_is_that_of_the_jacobian(function: CouplingFunction) -> None:
    flow, x, y = tarflow((1, 4, 4), 3, function=function), pixels(2, (1, 4, 4)), torch.tensor([0, 2])
    assert torch.allclose(flow(x, y)[1], jacobian_log_det(flow, x, y), atol=1e-6)


@torch.no_grad()
@EACH
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 4, 6)], ids=str)
def test_the_inverse_brings_back_the_image(shape: Shape, function: CouplingFunction) -> None:
    flow, x = tarflow(shape, function=function), pixels(2, shape)
    z, _ = flow(x)
    assert z.shape == (2, math.prod(shape))
    assert torch.allclose(flow.inverse(z), x, atol=1e-6)  # float64, of numbers up to 256


@torch.no_grad()
@pytest.mark.parametrize("y", [None, torch.tensor([2, 0])], ids=["no label", "labels"])
def test_answers_from_the_cache_are_those_of_the_whole_sequence(y: Tensor | None) -> None:
    """Tokens after the next one have no influence."""
    network, x, cache = layer(classes=3).network, noise(2, 6, 2), Cache()
    whole = network(x, y)
    for i in range(6):
        seen = torch.cat([x[:, :i], torch.full_like(x[:, i:], 1e9)], dim=1)
        assert torch.allclose(network(seen, y, cache)[:, 0], whole[:, i], atol=1e-12)


def test_the_density_of_two_pixels_integrates_to_one() -> None:
    """On a grid over all that carries mass; each pixel is a token."""
    flow = tarflow((1, 1, 2), patch=1)
    edges = torch.linspace(-1500.0, 1756.0, 121, dtype=torch.float64)
    middle = (edges[1:] + edges[:-1]) / 2
    with torch.no_grad():
        z, log_det = flow(torch.cartesian_prod(middle, middle).reshape(-1, 1, 1, 2))
    mass = float((StandardNormal().log_prob(z) + log_det).exp().sum()) * float(edges[1] - edges[0]) ** 2
    assert mass == pytest.approx(1.0, abs=2e-3)  # of the midpoint rule


def test_a_new_flow_is_the_map_of_pixels_alone() -> None:
    flow = TarFlow((1, 4, 4), pixels=Plain(), coupling=Affine(), networks=networks())
    z, log_det = flow(pixels(2, (1, 4, 4)).float())
    assert torch.allclose(log_det, torch.full((2,), -16 * math.log(128)))
    assert float(z.detach().std()) == pytest.approx(0.57, abs=0.1)  # of uniform pixels in [-1, 1]


@torch.no_grad()
def test_guidance_extrapolates_the_shift_from_one_label_to_the_other() -> None:
    """Of a single token the shift is a constant of the label: x = z - (t_w + s (t - t_w))."""
    of = CausalLayer((2, 1, 1), Additive(), networks(2), backwards=False)
    shaken(of)
    z, y, null = noise(1, 2, 1, 1), torch.tensor([1]), torch.tensor([2])
    own, worse = (of.network(z.flatten(2).mT, label)[0, 0] for label in (y, null))
    for scale in (0.0, 1.0, 3.0):
        x = of.guided(z, y, Away(null, scale))[0, :, 0, 0]
        assert torch.allclose(x, z[0, :, 0, 0] - (worse + scale * (own - worse)))


@torch.no_grad()
def test_guidance_of_scale_one_is_the_inverse() -> None:
    flow, z = tarflow((1, 4, 4), 2), noise(2, 16)
    y, null = torch.tensor([0, 1]), torch.tensor([2, 2])
    assert torch.allclose(flow.guided(z, y, Away(null, 1.0)), flow.inverse(z, y))
    assert not torch.allclose(flow.guided(z, y, Away(null, 2.0)), flow.inverse(z, y))


def test_sizes_that_no_flow_has_are_refused() -> None:
    for wrong, message in ({"layers": 0}, "flow.layers is 0"), ({"patch": 3}, "squares of 3x3 do not tile"):
        with pytest.raises(ValueError, match=message):
            TarFlow((1, 8, 8), pixels=Plain(), coupling=Affine(), networks=networks(), **wrong)
