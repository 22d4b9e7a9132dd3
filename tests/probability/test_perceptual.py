"""The perceptual distance: zero where images are equal, symmetric, and the formula written out."""

import pytest
import torch
from torch import Tensor, nn

from genbench.probability.perceptual import Perceptual


class TwoLayers(nn.Module):
    """Two convolutions of random weights, the second behind a pooling, as `Layers`."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.weights = [torch.rand(4), torch.rand(6)]

    def forward(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        first = self.one(x).relu()
        second = self.two(nn.functional.avg_pool2d(first, 2)).relu()
        return list(zip((first, second), self.weights, strict=True))


def images(n: int = 3) -> tuple[Tensor, Tensor]:
    a, b = torch.rand(2, n, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return a, b


def test_it_is_zero_for_equal_images_symmetric_and_above_zero_for_others() -> None:
    distance, (a, b) = Perceptual(TwoLayers()), images()
    assert torch.equal(distance(a, a), torch.zeros(3))
    assert torch.allclose(distance(a, b), distance(b, a))
    assert bool((distance(a, b) > 0).all())


def test_it_is_the_formula_pixel_by_pixel() -> None:
    network, (a, b), eps = TwoLayers(), images(1), 1e-8
    expected = 0.0
    for (mine, w), (theirs, _) in zip(network(a), network(b), strict=True):
        height, width = mine.shape[2:]
        for i in range(height):
            for j in range(width):
                u, v = mine[0, :, i, j], theirs[0, :, i, j]
                u, v = u / (u @ u + eps) ** 0.5, v / (v @ v + eps) ** 0.5
                expected += float((w * (u - v) ** 2).sum().detach()) / (height * width)
    assert float(Perceptual(network, eps=eps)(a, b)) == pytest.approx(expected, rel=1e-5)


def test_gradient_reaches_the_images_and_no_weight_and_is_finite_where_no_feature_is_active() -> None:
    network = TwoLayers()
    with torch.no_grad():
        network.one.bias.fill_(-100)  # so that the ReLU is 0 everywhere
        network.two.bias.fill_(0.1)
    distance, (a, b) = Perceptual(network), images()
    distance(a.requires_grad_(), b).sum().backward()
    assert a.grad is not None
    assert bool(a.grad.isfinite().all())
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())


def test_a_weight_below_zero_and_an_eps_of_zero_are_refused() -> None:
    with pytest.raises(ValueError, match=r"perceptual.weight is -1"):
        Perceptual(TwoLayers(), weight=-1)
    with pytest.raises(ValueError, match=r"perceptual.eps is 0"):
        Perceptual(TwoLayers(), eps=0)
