"""Caption accuracy: what real scenes score, with their own captions and with those of others."""

from dataclasses import replace

import pytest
import torch

from genbench.data import CaptionedScenes, Digits, ImageFolder, ImageSource
from genbench.data.scenes import parse
from genbench.metrics import AutoFeatures, CaptionAccuracy, Drawn, Metrics, Moments
from genbench.metrics.scores.interval import share_interval
from genbench.records.metric_name import MetricName

N = 300


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    """Test scenes with their own captions, on features that the score does not look at."""
    source = CaptionedScenes(train=2, test=N)
    images = torch.stack([torch.from_numpy(image) for image, _ in source.decode("test")]).permute(0, 3, 1, 2)
    x, captions = torch.zeros(N, 1), source.captions("test")
    return Drawn("f", "ema", 0, N, Moments.of(x), x, images, torch.arange(N), x, captions)


def values(drawn: Drawn) -> dict[str, float]:
    """The values by their kinds alone."""
    return {
        MetricName.parse(name).kind: value for name, value in CaptionAccuracy().compute(drawn, []).items()
    }


def test_real_scenes_satisfy_their_captions_as_far_as_the_reader_is_right(drawn: Drawn) -> None:
    found = values(drawn)
    shares = {kind: value for kind, value in found.items() if not kind.endswith(("_low", "_high", "_se"))}
    assert set(shares) == {kind.key for kind in CaptionAccuracy.kinds}
    assert all(0.95 <= share <= 1 for share in shares.values())


def test_scenes_satisfy_captions_of_other_scenes_hardly_ever(drawn: Drawn) -> None:
    """Some agree by accident, since two items of ten are few."""
    found = values(replace(drawn, labels=(torch.arange(N) + 1) % N))
    assert found["caption_accuracy"] < 0.02
    assert found["caption_objects"] < 0.05


def test_of_half_right_and_half_wrong_images_half_count_and_the_halves_are_those_of_the_combinations(
    drawn: Drawn,
) -> None:
    """Scenes with held-out combinations are the odd ones; their pictures are exchanged."""
    images = drawn.images.clone()
    images[1::2] = drawn.images[1::2].roll(1, 0)
    found = values(replace(drawn, images=images))
    assert found["caption_seen"] >= 0.95
    assert found["caption_held_out"] < 0.05
    assert found["caption_accuracy"] == pytest.approx((found["caption_seen"] + found["caption_held_out"]) / 2)


def test_images_that_are_upside_down_have_right_objects_at_wrong_places(drawn: Drawn) -> None:
    """Places are exchanged by halves, so that the objects themselves are upright."""
    top, bottom = drawn.images.chunk(2, 2)
    found = values(replace(drawn, images=torch.cat([bottom, top], dim=2)))
    assert found["caption_objects"] >= 0.95
    assert found["caption_sizes"] >= 0.95
    assert found["caption_places"] < 0.5  # "left of" remains true
    assert found["caption_accuracy"] <= found["caption_places"]


def test_names_state_the_reader_and_n_and_intervals_are_of_the_images_that_count(drawn: Drawn) -> None:
    found = CaptionAccuracy().compute(drawn, [])
    name = "caption_seen{}[captioned-cnn-v1,n=300,ema]"
    interval = share_interval(found[name.format("")], n=N // 2)
    assert found[name.format("_low")] == interval.low
    assert found[name.format("_high")] == interval.high
    sized = [any(each.size is not None for each in parse(text).objects) for text in drawn.texts or []]
    share = found["caption_sizes[captioned-cnn-v1,n=300,ema]"]
    assert round(share * sum(sized)) == pytest.approx(share * sum(sized))
    assert found["caption_sizes_low[captioned-cnn-v1,n=300,ema]"] == share_interval(share, n=sum(sized)).low


def test_images_without_captions_have_no_values_and_of_one_kind_of_captions_only_those(drawn: Drawn) -> None:
    assert CaptionAccuracy().compute(replace(drawn, captions=None), []) == {}
    assert CaptionAccuracy().compute(replace(drawn, labels=None), []) == {}
    seen = replace(drawn, labels=drawn.labels[::2], images=drawn.images[::2], n=N // 2)
    assert "caption_held_out" not in values(seen)


def test_captions_in_other_words_are_refused(drawn: Drawn) -> None:
    with pytest.raises(ValueError, match=r"'a cat' is not a caption of a scene: write it as in"):
        CaptionAccuracy().compute(replace(drawn, captions=["a cat"] * N), [])


@pytest.mark.parametrize("source", [Digits(), ImageFolder("cats", size=32)])
def test_images_that_are_no_scenes_are_refused_with_the_reason(source: ImageSource) -> None:
    metrics = Metrics(AutoFeatures(), scores=[CaptionAccuracy()])
    with pytest.raises(ValueError, match=r"scores\.caption_accuracy .* has no scenes, so .* data=captioned"):
        metrics.check_source(source)
    metrics.check_source(CaptionedScenes())
