"""The transformer over pixels."""

import pytest
import torch

from genbench.autoregressive.pixel_law import Categorical, LogisticMixture, PixelLaw
from genbench.nn.image_gpt import ImageGPT
from tests.autoregressive.laws import dependence, images, shaken


@pytest.mark.parametrize("classes", [0, 2])
@pytest.mark.parametrize("law", [Categorical(4), LogisticMixture(2)], ids=["channels", "pixels"])
@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_reach_all_tokens_before_and_exactly_none_after(
    channels: int, law: PixelLaw, classes: int
) -> None:
    """With respect to the tokens' embeddings, of which the last one enters nowhere."""
    shape = (channels, 3, 3)
    network = shaken(ImageGPT(shape, classes, law=law, width=8, blocks=2, heads=2)).double()
    y = torch.tensor([1]) if classes else None
    found = dependence(network, images(1, shape, law).double(), y, network.level)
    assert found.shape == (network.length, network.length - 1)
    before = torch.ones_like(found).tril(-1).bool()
    assert bool((found[~before] == 0).all())
    assert bool((found[before] > 0).all())


def test_equal_tokens_in_other_positions_are_distinguished() -> None:
    network = shaken(ImageGPT((3, 2, 2), law=Categorical(4), width=8, blocks=1, heads=2))
    positions = network.positions()
    assert len({tuple(position) for position in positions.tolist()}) == network.length
    row, column, channel = network.row.weight, network.column.weight, network.channel.weight
    # Token 7 is channel 1 of the pixel in row 1, column 0.
    assert torch.equal(positions[7], row[1] + column[0] + channel[1])


def test_channels_of_a_pixel_have_embeddings_of_their_own() -> None:
    network = shaken(ImageGPT((2, 1, 2), law=LogisticMixture(1), width=8, blocks=1, heads=2))
    x = torch.tensor([[0.2, 0.0], [-0.6, 0.0]]).view(1, 2, 1, 2)
    assert not torch.allclose(network(x)[0, 1], network(x.flip(1))[0, 1])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"heads": 3}, "network.heads is 3; it must be at least 1 and divide network.width=64"),
        ({"blocks": 0}, "network.blocks is 0"),
        ({"dropout": -0.1}, "network.dropout is -0.1"),
    ],
)
def test_sizes_that_cannot_be_are_refused(setting: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageGPT((1, 8, 8), law=Categorical(), **setting)
