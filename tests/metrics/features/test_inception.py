"""Inception features against torch-fidelity's own."""

import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genbench.data import Digits, ImageData
from genbench.data.source import file_digest
from genbench.metrics import InceptionFeatures, InceptionSpatialFeatures, MissingWeights
from genbench.metrics.features.inception import SHA256, InceptionExtractor, SpatialExtractor, empty_network
from genbench.runtime.progress import Progress

CPU = torch.device("cpu")
QUIET = Progress(None)


def bytes_of(shape: tuple[int, ...]) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def test_features_equal_torch_fidelitys_bit_for_bit(digits: ImageData, inception_weights: Path) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    theirs = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048", "logits_unbiased"], str(inception_weights)
    )
    assert sum(p.numel() for p in theirs.parameters()) == pytest.approx(23.85e6, rel=1e-3)
    grey = bytes_of((2, 1, 8, 8))
    before = torch.get_rng_state()
    ours = InceptionFeatures(str(inception_weights)).build(digits, device=CPU, progress=QUIET)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.autocast("cpu", torch.bfloat16):  # which must not reach the features
        features, logits = ours(grey)
    expected = theirs(grey.repeat(1, 3, 1, 1))
    assert features.dtype == logits.dtype == torch.float32
    assert features.std() > 0
    assert torch.equal(features, expected[0])
    assert torch.equal(logits, expected[1])


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
    """By torch-fidelity's network, layer by layer up to Mixed_6d (mixed_6 of the graph of 2015)."""
    spatial = InceptionSpatialFeatures(str(inception_weights)).build(digits, device=CPU, progress=QUIET)
    assert isinstance(spatial, SpatialExtractor)
    whole, inputs = spatial.whole, list[Tensor]()
    block = whole.network.Mixed_6d
    block.register_forward_pre_hook(lambda module, given: inputs.append(given[0]))
    features, logits = spatial(bytes_of((2, 1, 8, 8)))
    with torch.no_grad():  # torch-fidelity's own block: convolution, normalisation, ReLU
        expected = block.branch1x1(inputs[0])[:, :7].flatten(1)
    assert features.min() == 0
    assert (features.shape, logits.shape) == ((2, 7 * 17 * 17), (2, 0))
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-5)
    assert spatial.protocol == whole.protocol.replace("inception-", "inception-spatial-")
