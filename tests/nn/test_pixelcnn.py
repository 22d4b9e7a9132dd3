"""The gated PixelCNN."""

import pytest
import torch

from genbench.autoregressive.pixel_law import Categorical, LogisticMixture, PixelLaw
from genbench.nn.pixelcnn import PixelCNN
from tests.autoregressive.laws import dependence, images, one_by_one, shaken


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("classes", [0, 2])
@pytest.mark.parametrize("law", [Categorical(4), LogisticMixture(2)], ids=["channels", "pixels"])
@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_reach_all_tokens_before_and_exactly_none_after(
    channels: int, law: PixelLaw, classes: int, kernel: int
) -> None:
    """All of them: the stack of rows above has no blind spot (van den Oord et al. 2016b, Figure 1).

    Wide enough that no group of channels is all behind ReLUs that are 0.
    """
    shape = (channels, 4, 4)
    network = shaken(PixelCNN(shape, classes, law=law, width=48, blocks=6, kernel=kernel)).double()
    y = torch.tensor([1]) if classes else None
    found = dependence(network, images(1, shape, law).double(), y, None)
    before = torch.ones_like(found).tril(-1).bool()
    assert bool((found[~before] == 0).all())
    assert bool((found[before] > 0).all())


def test_each_layer_sees_one_pixel_more_on_every_side() -> None:
    """b layers of 3x3 see b + 1 rows above, of the uppermost b columns each way, and b pixels to the left."""
    law = Categorical(4)
    network = shaken(PixelCNN((1, 9, 9), law=law, width=8, blocks=2)).double()
    seen = dependence(network, images(1, (1, 9, 9), law).double(), None, None)[40].view(9, 9) > 0
    rows, columns = seen.nonzero().unbind(1)
    assert (int(rows.min()), int(rows.max())) == (1, 4)
    assert (int(columns.min()), int(columns.max())) == (2, 6)
    assert seen[4].nonzero().flatten().tolist() == [2, 3]


def test_a_wide_kernel_keeps_what_it_needs_of_the_rows_above() -> None:
    law = LogisticMixture(2)
    network = shaken(PixelCNN((1, 7, 5), 3, law=law, width=8, blocks=3, kernel=7)).double()
    x, y = images(2, (1, 7, 5), law).double(), torch.tensor([0, 2])
    assert torch.allclose(one_by_one(network, x, y), network(x, y), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"width": 2}, "network.width is 2; it must be from 3"),
        ({"blocks": 0}, "network.blocks is 0"),
        ({"kernel": 4}, "network.kernel is 4"),
        ({"kernel": 1}, "network.kernel is 1"),
        ({"dropout": 1.0}, "network.dropout is 1.0"),
    ],
)
def test_sizes_that_cannot_be_are_refused(setting: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelCNN((3, 8, 8), law=Categorical(), **setting)
