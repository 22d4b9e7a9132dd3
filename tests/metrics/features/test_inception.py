"""Inception features against torch-fidelity's own."""

import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from genbench.data import Digits, ImageData
from genbench.data.source import file_digest
from genbench.metrics import InceptionFeatures, InceptionSpatialFeatures, MissingWeights
from genbench.metrics.features.folded_inception import resized
from genbench.metrics.features.inception import (
    SHA256,
    InceptionExtractor,
    SpatialExtractor,
    empty_network,
    read_state,
)
from genbench.runtime.progress import Progress

CPU = torch.device("cpu")
QUIET = Progress(None)


def bytes_of(shape: tuple[int, ...]) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def extractor(weights: Path, channels: int) -> InceptionExtractor:
    network = empty_network()
    network.load_state_dict(read_state(weights), assign=True)
    return InceptionExtractor(network, "0" * 64, channels).eval()


def theirs(weights: Path) -> nn.Module:
    """torch-fidelity's own network."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    return FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"], str(weights))


@pytest.mark.parametrize("channels", [1, 3])
def test_features_equal_torch_fidelitys(channels: int, inception_weights: Path) -> None:
    """To 1e-5 of the largest: folded batch norms and joint convolutions round elsewhere (2e-7 and 1e-6 were
    seen), while a wrong branch is off by the size of the features.
    """
    network = theirs(inception_weights)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(23.85e6, rel=1e-3)
    before = torch.get_rng_state()
    ours = extractor(inception_weights, channels)
    assert torch.equal(torch.get_rng_state(), before)
    images = bytes_of((2, channels, 8, 9))
    with torch.autocast("cpu", torch.bfloat16):  # which must not reach the features
        found = ours(images)
    for mine, expected in zip(found, network(images.expand(-1, 3, -1, -1)), strict=True):
        assert mine.dtype == torch.float32
        assert mine.std() > 0
        torch.testing.assert_close(mine, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (1, 3, 32, 20), (1, 3, 299, 299), (1, 1, 310, 400)])
def test_the_resize_is_torch_fidelitys_bit_for_bit(shape: tuple[int, ...]) -> None:
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    images = bytes_of(shape)
    theirs = interpolate_bilinear_2d_like_tensorflow1x(images.float(), size=(299, 299), align_corners=False)
    assert torch.equal(resized(images), (theirs - 128) / 128)


def test_the_protocol_names_foreign_weights_and_grey_images(
    digits: ImageData, inception_weights: Path
) -> None:
    extractor = InceptionFeatures(str(inception_weights)).build(digits, device=CPU, progress=QUIET)
    assert extractor.protocol == f"inception-{file_digest(inception_weights)[:8]},res=tf1,grey"
    assert InceptionExtractor(empty_network(), SHA256, 3).protocol == "inception,res=tf1"


def test_a_file_of_another_layout_is_refused_with_its_name_and_first_differing_keys(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"conv.weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"other\.pth differs from.*Conv2d_1a_3x3\.conv\.weight"):
        InceptionFeatures(str(path)).check(Digits())


def test_a_file_that_is_no_weights_at_all_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.pth"
    path.write_text("<html>not found</html>")
    with pytest.raises(ValueError, match=r"page\.pth is not a file of weights"):
        InceptionFeatures(str(path)).check(Digits())


def test_code_in_a_weights_file_is_not_run(tmp_path: Path) -> None:
    path, witness = tmp_path / "evil.pth", tmp_path / "witness"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (witness,)

    torch.save({"fc.weight": Evil()}, path)
    with pytest.raises(ValueError, match="not a file of weights"):
        InceptionFeatures(str(path)).check(Digits())
    assert not witness.exists()


def test_a_path_that_does_not_exist_is_refused() -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        InceptionFeatures("nowhere.pth").check(Digits())


def test_missing_weights_are_reported_within_seconds_where_nothing_can_be_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch_fidelity import feature_extractor_inceptionv3

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    # port 9 of this very machine, where nobody listens
    monkeypatch.setattr(feature_extractor_inceptionv3, "URL_INCEPTION_V3", "http://127.0.0.1:9/weights.pth")
    started = time.monotonic()
    with pytest.raises(
        MissingWeights,
        match=r"\(.*refused\): .*features\.weights=PATH \(.*more_features\.NAME\.weights=PATH\), "
        "or use metrics=classifier, which trains .* once$",
    ):
        InceptionFeatures().check(Digits())
    assert time.monotonic() - started < 10
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []  # no half of one is left


def test_weights_are_found_in_torchs_hub_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inception_weights: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "weights-inception-2015-12-05-6726825d.pth").symlink_to(inception_weights)
    InceptionFeatures().check(Digits())


def test_spatial_features_are_the_first_maps_of_a_convolution_inside_the_network(
    digits: ImageData, inception_weights: Path
) -> None:
    """By torch-fidelity's network, with a hook on the first branch of Mixed_6d (mixed_6 in the graph of
    2015).
    """
    spatial = InceptionSpatialFeatures(str(inception_weights)).build(digits, device=CPU, progress=QUIET)
    assert isinstance(spatial, SpatialExtractor)
    network, maps = theirs(inception_weights), list[Tensor]()
    branch = network.get_submodule("Mixed_6d.branch1x1")
    branch.register_forward_hook(lambda module, given, found: maps.append(found))
    images = bytes_of((2, 1, 8, 8))
    features, logits = spatial(images)
    network(images.expand(-1, 3, -1, -1))
    assert features.min() == 0
    assert (features.shape, logits.shape) == ((2, 7 * 17 * 17), (2, 0))
    torch.testing.assert_close(features, maps[0][:, :7].flatten(1), rtol=1e-5, atol=1e-5)
    assert spatial.protocol == spatial.whole.protocol.replace("inception-", "inception-spatial-")


def test_images_of_other_channels_than_the_network_was_built_for_are_refused(inception_weights: Path) -> None:
    whole = extractor(inception_weights, 3)
    for features in (whole, SpatialExtractor(whole)):
        with pytest.raises(ValueError, match="images have 1 channels; this extractor was built for 3"):
            features(bytes_of((2, 1, 8, 8)))
