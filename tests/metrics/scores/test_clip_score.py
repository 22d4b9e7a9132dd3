"""The CLIP score, by tiny random models of the true layout."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from genbench.data import CaptionedScenes, Digits, to_float
from genbench.metrics import CLIPScore, Drawn, Moments
from genbench.records.metric_name import MetricName
from genbench.text.clip_image import clip_pixels
from tests.text_models import clip, library

N = 70  # more than a batch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("clip"), whole=True, seed=2)


def drawn(*, side: int = 16, channels: int = 3) -> Drawn:
    """Random images with captions of letters."""
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (N, channels, side, side), generator=rng, dtype=torch.uint8)
    x, texts = torch.zeros(N, 1), [f"{chr(97 + i % 26)} {chr(97 + i % 7)}ab" for i in range(N)]
    return Drawn("f", "ema", 0, N, Moments.of(x), x, images, torch.arange(N).flip(0), x, texts)


def value(score: CLIPScore, given: Drawn) -> float:
    found = score.compute(given, [])
    return next(x for name, x in found.items() if MetricName.parse(name).kind == "clip_score")


def by_hand(folder: Path, given: Drawn) -> torch.Tensor:
    """Cosines by the two towers of the model by themselves, one image at a time: (N,)."""
    transformers = library()
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    cosines = []
    with torch.no_grad():
        for image, text in zip(given.images, given.texts or [], strict=True):
            pixels = ((image / 255 - mean) / std)[None]
            one = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
            ids = tokenizer([text], return_tensors="pt")
            other = model.text_projection(model.text_model(**ids).pooler_output)
            cosines.append(F.cosine_similarity(one, other))
    return torch.cat(cosines)


def test_it_is_the_mean_of_the_published_formula(folder: Path) -> None:
    cosines = by_hand(folder, drawn())
    assert 0 < int((cosines < 0).sum()) < N  # both sides of the maximum occur
    expected = 2.5 * float(cosines.clamp(min=0).mean())
    assert value(CLIPScore(str(folder)), drawn()) == pytest.approx(expected, rel=1e-5)


def test_images_are_prepared_as_by_the_processor_of_transformers(folder: Path) -> None:
    """Resized from 33 pixels a side to 16 and normalised; it cuts to bytes after each of two passes."""
    size = {"height": 16, "width": 16}
    processor = library().CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=size)
    images = drawn(side=33).images
    expected = processor(list(images), return_tensors="pt")["pixel_values"]
    levels = (clip_pixels(to_float(images), 16) - expected).abs() * 0.27 * 255
    assert float(levels.mean()) < 0.6
    assert float(levels.max()) < 6


def test_the_name_states_the_weights_and_the_interval_is_over_samples(folder: Path, tmp_path: Path) -> None:
    found = CLIPScore(str(folder), samples=50).compute(drawn(), [])
    names = [MetricName.parse(name) for name in found]
    assert [name.spread for name in names] == ["", "_low", "_high", "_se"]
    assert {(name.n, name.ref, name.part) for name in names} == {(50, None, ())}
    assert names[0].protocol.startswith("clip-")
    assert len(names[0].protocol) == len("clip-12345678")
    low, middle, high = (found[str(names[0].beside(end))] for end in ("_low", "", "_high"))
    assert low < middle < high
    other = CLIPScore(str(clip(tmp_path / "other", whole=True, seed=1))).compute(drawn(), [])
    assert MetricName.parse(next(iter(other))).protocol != names[0].protocol


def test_grey_images_count_as_colour_images_of_equal_channels(folder: Path) -> None:
    grey = drawn(channels=1)
    score = CLIPScore(str(folder))
    assert value(score, grey) == value(score, replace(grey, images=grey.images.expand(-1, 3, -1, -1)))


def test_images_of_other_sizes_are_resized_and_long_captions_cut(folder: Path) -> None:
    given = drawn(side=33)
    long = replace(given, captions=[f"{text}{' x' * 90}" for text in given.captions or []])
    for each in (given, long):
        assert math.isfinite(value(CLIPScore(str(folder)), each))


def test_images_without_captions_have_no_value(folder: Path) -> None:
    assert CLIPScore(str(folder)).compute(replace(drawn(), captions=None), []) == {}


def test_what_it_needs_is_asked_for_before_any_work(folder: Path, tmp_path: Path) -> None:
    scenes = CaptionedScenes()
    assert "digits has none: use data with captions" in CLIPScore(str(folder)).fault(Digits())
    assert "scores.clip_score.path is null: name a folder" in CLIPScore().fault(scenes)
    assert CLIPScore(str(folder)).fault(scenes) == ""
    with pytest.raises(ValueError, match=r"scores\.clip_score\.path is .*nowhere.*not a folder"):
        CLIPScore(str(tmp_path / "nowhere")).fault(scenes)
    text_alone = clip(tmp_path / "text")
    with pytest.raises(ValueError, match="clip_text_model"):
        CLIPScore(str(text_alone)).fault(scenes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight": 0.0}, r"scores.clip_score.weight is 0.0; it must be above 0"),
        ({"weight": math.nan}, "it must be above 0"),
        ({"samples": 1}, "scores.clip_score.samples is 1; it must be 2 or more"),
    ],
)
def test_settings_that_score_nothing_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CLIPScore("somewhere", **settings)  # type: ignore[arg-type]
