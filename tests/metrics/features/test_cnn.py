"""The small classifier takes images of any size and channels."""

import pytest
import torch

from genbench.data import to_float
from genbench.metrics.features.cnn import SmallCNN, normalise


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 8, 8), (3, 28, 30), (3, 100, 64)])
def test_any_image_gives_64_features_and_a_logit_a_class(shape: tuple[int, int, int]) -> None:
    features, logits = SmallCNN(shape[0], 5).eval()(torch.zeros(2, *shape))
    assert features.shape == (2, 64)
    assert logits.shape == (2, 5)


def test_normalising_gives_features_of_unit_mean_square_and_leaves_the_logits() -> None:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (50, 1, 8, 8), generator=rng, dtype=torch.uint8)
    network = SmallCNN(1, 3).eval()
    before = network(to_float(images)).logits
    normalise(network, images)
    features, logits = network(to_float(images))
    assert float(features.detach().square().mean()) == pytest.approx(1.0, rel=1e-5)  # float32
    torch.testing.assert_close(logits, before)
