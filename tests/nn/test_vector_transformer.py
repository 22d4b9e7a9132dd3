"""Networks around embeddings: a transformer over vectors, and encoders of images."""

from pathlib import Path

import pytest
import torch
from torch import nn

from genbench.data import to_float
from genbench.metrics import DigitsFeatures
from genbench.metrics.features.image_encoder import ShippedEncoder
from genbench.nn.vector_transformer import VectorTransformer
from genbench.text.condition import Encoded, Encoding

FEATURES, CONTEXT = 6, 5


def network(**settings: int) -> VectorTransformer:
    torch.manual_seed(0)
    made = VectorTransformer((FEATURES, 1, 1), width=8, layers=2, heads=2, **settings).eval()
    nn.init.normal_(made.leave.weight)
    return made


def texts(length: int, padding: int = 0) -> Encoded:
    torch.manual_seed(1)
    hidden, pooled = torch.randn(3, length, CONTEXT), torch.randn(3, CONTEXT)
    hidden = torch.cat([hidden, 100 * torch.ones(3, padding, CONTEXT)], dim=1)
    own = Encoding(hidden, torch.arange(length + padding).expand(3, -1) < length, pooled)
    return Encoded(own, Encoding(hidden[:1], own.mask[:1], pooled[:1]))


def test_the_answer_is_zero_at_first_and_has_the_shape_of_the_vectors() -> None:
    x = torch.randn(3, FEATURES, 1, 1)
    assert torch.equal(VectorTransformer((FEATURES, 1, 1))(x, torch.rand(3)), torch.zeros_like(x))


def test_padding_of_a_text_changes_nothing_and_each_token_matters() -> None:
    made, x, t = network(context=CONTEXT), torch.randn(3, FEATURES, 1, 1), torch.rand(3)
    answer = made(x, t, texts(4))
    torch.testing.assert_close(made(x, t, texts(4, padding=3)), answer)
    other = texts(4)
    other.hidden[:, 3] += 1
    assert not torch.allclose(made(x, t, other), answer)


def test_the_null_class_stands_for_no_label() -> None:
    made, x, t = network(num_classes=2), torch.randn(3, FEATURES, 1, 1), torch.rand(3)
    assert torch.equal(made(x, t), made(x, t, torch.full((3,), 2)))
    assert not torch.equal(made(x, t), made(x, t, torch.zeros(3, dtype=torch.int64)))


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match=r"heads is 3; it must divide vector_network.width=8"):
        VectorTransformer((FEATURES, 1, 1), width=8, heads=3)


def test_a_shipped_encoder_answers_the_features_of_its_network_in_training_too() -> None:
    encoder = ShippedEncoder(DigitsFeatures(), (1, 8, 8))
    images = torch.randint(256, (5, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(encoder).train()
    assert torch.equal(model(to_float(images)), DigitsFeatures().network()(images).features)
    with pytest.raises(ValueError, match=r"images are \(3, 32, 32\); image_encoder=digits is for"):
        ShippedEncoder(DigitsFeatures(), (3, 32, 32))


def test_the_image_tower_of_clip_answers_as_in_its_library(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from genbench.text.clip_image import DEVIATION, MEAN, ClipImage
    from tests import text_models

    folder = text_models.clip(tmp_path / "clip", whole=True)
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mean, deviation = (torch.tensor(each)[:, None, None] for each in (MEAN, DEVIATION))
    with torch.no_grad():
        theirs = transformers.CLIPModel.from_pretrained(folder).eval()
        expected = theirs.get_image_features(((x + 1) / 2 - mean) / deviation).pooler_output
    encoder = ClipImage(path=str(folder))
    torch.testing.assert_close(encoder(x), expected)
    grey = encoder(x[:, :1])
    torch.testing.assert_close(grey, encoder(x[:, :1].expand(-1, 3, -1, -1)))
    with pytest.raises(ValueError, match="CLIP takes 1"):
        encoder(x[:, :2])
