"""Layers of frozen networks that a perceptual loss compares images by: the shipped classifiers, and VGG16."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genbench.data import Digits, FashionMnist
from genbench.data.gaussians import Gaussians
from genbench.metrics.features.layers import ShippedLayers, auto_layers
from genbench.metrics.features.shipped import DigitsFeatures
from genbench.metrics.features.vgg import LPIPSLayers, learned_channels
from genbench.probability.perceptual import Perceptual


def images(n: int, *shape: int) -> tuple[Tensor, Tensor]:
    a, b = torch.rand(2, n, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return a, b


def vgg_file(folder: Path) -> Path:
    """A file of the layout of torchvision's VGG16 with random weights, without its classifier."""
    from torchvision.models import vgg16

    with torch.device("meta"):
        layout = vgg16(weights=None).features.state_dict()
    rng = torch.Generator().manual_seed(0)
    state = {
        f"features.{name}": torch.randn(x.shape, generator=rng) * (2 / max(x[0].numel(), 9)) ** 0.5
        for name, x in layout.items()
    }
    path = folder / "vgg.pth"
    torch.save(state, path)
    return path


@pytest.mark.slow  # the oracle draws the 138 million weights of a whole VGG16 first
def test_lpips_is_that_of_torchmetrics_on_the_same_weights(tmp_path: Path) -> None:
    from torchmetrics.functional.image.lpips import _LPIPS

    oracle, path = _LPIPS(pretrained=True, net="vgg", pnet_rand=True), vgg_file(tmp_path)
    state = torch.load(path, weights_only=True)
    slices = {
        f"{part}.{layer}": state[f"features.{layer.partition('.')[0]}.{layer.partition('.')[2]}"]
        for part, layer in (name.split(".", 1) for name in oracle.net.state_dict())
    }
    oracle.net.load_state_dict(slices)
    ours, (a, b) = Perceptual(LPIPSLayers(str(path))), images(2, 3, 32, 32)
    found, expected = ours(a, b), oracle(a, b).flatten()
    assert torch.allclose(found, expected, rtol=1e-4)
    assert bool((expected > 0).all())
    assert torch.equal(ours(a, a), torch.zeros(2))
    grey = images(2, 1, 16, 16)[0]
    assert torch.allclose(ours(grey, -grey), ours(grey.expand(-1, 3, -1, -1), -grey.expand(-1, 3, -1, -1)))
    with pytest.raises(ValueError, match=r"perceptual=lpips takes 1 \(repeated\) or 3 channels and 16 pix"):
        ours(*images(1, 1, 8, 8))


def test_files_of_other_weights_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    torch.save({"lin0.model.1.weight": torch.ones(1, 64, 1, 1)}, other)
    with pytest.raises(ValueError, match="differs from VGG16 in 26 entries"):
        LPIPSLayers(str(other))
    with pytest.raises(ValueError, match="has no weights of 64, 128, 256, 512, 512 channels"):
        learned_channels(str(other))
    assert [len(each) for each in learned_channels(None)] == [64, 128, 256, 512, 512]
    with pytest.raises(FileNotFoundError, match=r"perceptual\.network\.weights is .*nowhere"):
        LPIPSLayers(str(tmp_path / "nowhere"))


def test_the_last_layer_of_a_shipped_classifier_is_what_scores_compare() -> None:
    layers, x = auto_layers(Digits()), images(5, 1, 8, 8)[0]
    x = ((x + 1) * 127.5).round() / 127.5 - 1
    found = layers(x)
    assert [maps.shape[1:] for maps, _ in found] == [(16, 4, 4), (32, 2, 2), (64, 3, 3), (64, 1, 1)]
    bytes_ = ((x + 1) * 127.5).round().to(torch.uint8)
    assert torch.allclose(found[-1][0].flatten(1), DigitsFeatures().network()(bytes_).features, atol=1e-5)
    assert layers.protocol == "digits-cnn-v1"


def test_a_checkpoint_has_a_fingerprint_alone_and_other_weights_are_refused() -> None:
    layers = auto_layers(Digits())
    assert list(layers.state_dict()) == ["fingerprint"]
    twin = copy.deepcopy(layers)
    twin.load_state_dict(layers.state_dict())
    x = images(3, 1, 8, 8)[0]
    assert torch.equal(twin(x)[-1][0], layers(x)[-1][0])
    with pytest.raises(ValueError, match="weights of the shipped classifier are not those"):
        twin.load_state_dict({"fingerprint": layers.fingerprint + 1})


def test_other_images_are_refused_with_what_takes_them() -> None:
    with pytest.raises(ValueError, match=r"no classifier that is shipped .*: use perceptual=lpips"):
        auto_layers(Gaussians())
    with pytest.raises(ValueError, match=r"images are \(1, 28, 28\); the classifier of digits is for images"):
        ShippedLayers(DigitsFeatures(), FashionMnist(None).shape)
