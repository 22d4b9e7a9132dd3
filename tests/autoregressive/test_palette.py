"""The palette: colours by k-means, a name a pixel."""

import math

import pytest
import scipy.stats
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from genbench.autoregressive.palette import Palette, k_means
from genbench.families.autoregressive import Autoregressive
from genbench.nn.image_gpt import ImageGPT
from tests.autoregressive.laws import images, palette, pixelcnn

SHAPE = (3, 4, 4)


def model(size: int = 4) -> Autoregressive:
    network = ImageGPT(SHAPE, law=Palette(SHAPE, size=size), width=8, blocks=1, heads=2)
    return Autoregressive(SHAPE, 0, network=network)


def blobs(n: int = 200) -> Tensor:
    """n points around each of four corners, a deviation of 0.05 in a distance of 1."""
    rng = torch.Generator().manual_seed(0)
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    return (corners[:, None] + 0.05 * torch.randn(4, n, 2, generator=rng)).flatten(0, 1)


def test_clusters_that_stand_apart_are_found_with_their_means() -> None:
    centres = k_means(blobs(), 4, rounds=10)
    order = (centres.round() @ torch.tensor([1.0, 2.0])).argsort()
    assert torch.allclose(centres[order], blobs().view(4, -1, 2).mean(1), atol=1e-5)


def test_where_nothing_stands_apart_it_is_nearly_as_good_as_sklearns() -> None:
    points = torch.rand(2000, 3, generator=torch.Generator().manual_seed(0))
    centres = k_means(points, 12, rounds=20)
    inertia = float(torch.cdist(points, centres).min(1).values.square().sum())
    # One start against the best of ten: both end in local minima, which lie within some percent.
    assert inertia < 1.1 * KMeans(12, n_init=10, random_state=0).fit(points.numpy()).inertia_


def test_more_centres_than_points_apart_keep_every_point() -> None:
    points = torch.tensor([[0.0], [0.5], [1.0]]).repeat(20, 1)
    centres = k_means(points, 8, rounds=5)
    assert bool(centres.isfinite().all())
    assert float(torch.cdist(points, centres).min(1).values.max()) < 1e-6


def test_the_first_step_of_a_training_fits_it_and_no_other_look_does() -> None:
    net, law = model().train(), palette(SHAPE)
    x = images(6, SHAPE, law)
    start = net.network.law.colours.clone()
    net.loss(x, step=1)
    net.eval().loss(x, step=0)
    assert torch.equal(net.network.law.colours, start)
    net.train().loss(x, step=0)
    assert torch.allclose(
        net.network.law.snapped(net.network.to_tokens(x)), net.network.to_tokens(x), atol=1e-5
    )
    fitted = net.network.law.colours.clone()
    net.loss(-x, step=1)
    assert torch.equal(net.network.law.colours, fitted)
    twin = model()
    twin.load_state_dict(net.state_dict())
    assert torch.equal(twin.network.law.colours, fitted)


def test_a_token_is_a_pixel_however_many_channels_it_has() -> None:
    net = model().eval()
    assert net.network.length == 16
    drawn = net.sample(3, rng=torch.Generator().manual_seed(0))
    pixels = drawn.permute(0, 2, 3, 1).reshape(-1, 3)
    assert bool((torch.cdist(pixels, net.network.law.colours).min(1).values < 1e-6).all())


def test_its_likelihood_says_that_it_is_of_another_image() -> None:
    net = model(size=5)
    assert (net.bound, net.method) == ("estimate", "palette of 5 colours, not comparable")
    x = images(2, SHAPE, palette(SHAPE))
    # Whatever falls to the same colours is the same image to it.
    near = net.network.to_images(net.network.law.snapped(net.network.to_tokens(x)))
    assert torch.equal(net.log_prob(x), net.log_prob(near))


@torch.no_grad()
def test_a_palette_that_knows_nothing_costs_the_logarithm_of_its_size_a_pixel() -> None:
    law, x = palette(SHAPE, size=4), images(2, SHAPE, palette(SHAPE))
    tokens = pixelcnn(SHAPE, 0, law).to_tokens(x)
    assert torch.allclose(law.log_prob(torch.zeros(2, 16, 4), tokens), torch.tensor(-16 * math.log(4)))


def test_what_is_drawn_follows_the_law() -> None:
    law, n, answer = palette(SHAPE, size=6), 30_000, torch.tensor([0.0, 1.0, -1.0, 0.5, 2.0, -2.0])
    drawn = law.to_level(law.sample(answer.expand(n, -1), rng=torch.Generator().manual_seed(1)))
    observed = drawn.flatten().bincount(minlength=6).double()
    p = answer.softmax(0).double()
    assert scipy.stats.chisquare(observed, p / p.sum() * n).pvalue > 1e-6


@pytest.mark.parametrize(
    ("settings", "message"), [({"size": 1}, "size is 1"), ({"rounds": -1}, "rounds is -1")]
)
def test_palettes_that_cannot_be_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"pixel_law.{message}"):
        Palette(SHAPE, **settings)
