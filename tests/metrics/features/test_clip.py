"""CLIP's image tower as a feature network, by tiny random models of the true layout."""

from pathlib import Path

import pytest
import torch

from genbench.data import Digits, Gaussians, ImageData, to_float
from genbench.metrics import CLIPFeatures, FeatureExtractor
from genbench.runtime.progress import Progress
from genbench.text.clip_image import ClipImage, clip_pixels
from tests.text_models import clip, library

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("clip"), whole=True, seed=2)


@pytest.fixture
def extractor(folder: Path, digits: ImageData) -> FeatureExtractor:
    return CLIPFeatures(str(folder)).build(digits, device=CPU, progress=Progress(None))


def test_features_are_the_image_embeddings_of_the_library_whatever_surrounds_them(
    folder: Path, extractor: FeatureExtractor, digits: ImageData
) -> None:
    model = library().CLIPVisionModelWithProjection.from_pretrained(folder, projection_dim=8).eval()
    images = digits.test.images[:40]
    with torch.no_grad():
        expected = model(pixel_values=clip_pixels(to_float(images), 16)).image_embeds
    with torch.autocast("cpu", torch.bfloat16):  # which must not reach the features
        features, logits = extractor(images)
    assert (features.dtype, features.shape, logits.shape) == (torch.float32, (40, 8), (40, 0))
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-6)


def test_they_are_those_that_models_of_image_embeddings_are_given(
    folder: Path, extractor: FeatureExtractor, digits: ImageData
) -> None:
    images = digits.test.images[:5]
    embedded = ClipImage(path=str(folder))(to_float(images))
    torch.testing.assert_close(extractor(images).features, embedded, rtol=1e-5, atol=1e-6)


def test_the_name_states_the_weights_and_the_size(folder: Path, extractor: FeatureExtractor) -> None:
    assert extractor.protocol == f"clip-{extractor.weights_sha256[:8]},res=bicubic16,grey"


def test_what_it_cannot_take_is_refused_before_any_work(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"path of CLIP's weights is null: name a folder"):
        CLIPFeatures()
    with pytest.raises(ValueError, match=r"features\.path is .*nowhere.*not a folder"):
        CLIPFeatures(str(tmp_path / "nowhere")).check(Digits())
    text_alone = clip(tmp_path / "text")
    with pytest.raises(ValueError, match="clip_text_model"):
        CLIPFeatures(str(text_alone)).check(Digits())
    two = Gaussians()
    two.shape = (2, 8, 8)
    with pytest.raises(ValueError, match="2 channels; CLIP takes 1"):
        CLIPFeatures(str(folder)).check(two)
