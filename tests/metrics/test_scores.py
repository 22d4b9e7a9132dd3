"""References, what a stream of images comes to, and the standard scores, on the digits themselves."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from genbench.data import ImageData
from genbench.metrics import (
    FID,
    KID,
    STANDARD,
    Authenticity,
    ClassFID,
    DigitsFeatures,
    Drawn,
    FeatureExtractor,
    FIDGap,
    FIDInfinity,
    InceptionScore,
    Manifold,
    NearestImage,
    PassCounter,
    Reference,
    Score,
    SlicedWasserstein,
    collect,
    compute,
    frechet_distance,
    score_images,
)
from genbench.metrics import reference as take
from genbench.metrics import take as sent
from genbench.metrics.reference import Moments, retained
from genbench.records.metric_name import SPREADS, MetricName
from genbench.runtime.progress import Progress

CPU = torch.device("cpu")
QUIET = Progress(None)


@pytest.fixture
def extractor(digits: ImageData) -> FeatureExtractor:
    return DigitsFeatures().build(digits, device=CPU, progress=QUIET)


@pytest.fixture
def reference(extractor: FeatureExtractor, digits: ImageData) -> Reference:
    return take(extractor, digits, device=CPU, progress=QUIET)


def scored(
    extractor: FeatureExtractor,
    reference: Reference,
    images: torch.Tensor,
    size: int,
    scores: Sequence[Score] = STANDARD,
) -> dict[str, float]:
    """The scores without the ends of their intervals."""
    found = score_images(
        ((batch, None) for batch in images.split(size)),
        len(images),
        scores=scores,
        extractor=extractor,
        references=[reference],
        of="test",
        seed=0,
    )
    return {name: value for name, value in found.items() if MetricName.parse(name).spread not in SPREADS[1:]}


def drawn(extractor: FeatureExtractor, images: torch.Tensor, seed: int = 0) -> Drawn:
    return collect([sent(extractor, images, None)], len(images), extractor=extractor, of="ema", seed=seed)


def test_a_reference_holds_the_moments_of_every_training_image(
    extractor: FeatureExtractor, reference: Reference, digits: ImageData
) -> None:
    whole = Moments(extractor.num_features)
    whole.update(extractor(digits.train.images).features)
    assert reference.moments.n == len(digits.train) == len(reference.features)
    torch.testing.assert_close(reference.moments.cov, whole.cov, rtol=1e-5, atol=1e-5)  # float32 features


def test_a_second_reference_is_read_from_the_cache(
    extractor: FeatureExtractor, reference: Reference, digits: ImageData
) -> None:
    extractor.network = nn.Identity()  # would fail if it were asked
    again = take(extractor, digits, device=CPU, progress=QUIET)
    assert torch.equal(again.moments.cov, reference.moments.cov)
    assert torch.equal(again.features, reference.features)


@pytest.mark.parametrize("damage", ["cut", "bit", "text"])
def test_a_damaged_reference_is_measured_again_with_a_warning(
    extractor: FeatureExtractor, reference: Reference, digits: ImageData, cache: Path, damage: str
) -> None:
    (path,) = (cache / "reference").glob("digits-train-*.safetensors")
    sound = path.read_bytes()
    path.write_bytes(
        {"cut": sound[:-100], "bit": sound[:-1] + bytes([sound[-1] ^ 1]), "text": b"no tensors"}[damage]
    )
    with pytest.warns(UserWarning, match="damaged"):
        again = take(extractor, digits, device=CPU, progress=QUIET)
    assert torch.equal(again.features, reference.features)
    assert path.read_bytes() == sound


def test_train_and_test_references_are_kept_apart(
    extractor: FeatureExtractor, reference: Reference, digits: ImageData
) -> None:
    held_out = take(extractor, digits, split="test", device=CPU, progress=QUIET)
    assert held_out.moments.n == 359
    assert frechet_distance(held_out.moments, reference.moments) > 0


def test_another_split_is_refused(extractor: FeatureExtractor, digits: ImageData) -> None:
    with pytest.raises(ValueError, match="choose from train, test"):
        take(extractor, digits, split="valid", device=CPU, progress=QUIET)


def test_scores_carry_their_whole_protocol_and_the_report_can_read_it(
    extractor: FeatureExtractor, reference: Reference, digits: ImageData
) -> None:
    scores = scored(extractor, reference, digits.test.images, 256)
    assert list(scores) == [
        "is[digits-cnn-v1,n=359,splits=10,test]",
        "is_std[digits-cnn-v1,n=359,splits=10,test]",
        "fid[digits-cnn-v1,n=359,ref=train,test]",
        "kid[digits-cnn-v1,n=359,subsets=100x359,ref=train,test]",
        "kid_std[digits-cnn-v1,n=359,subsets=100x359,ref=train,test]",
        "precision[digits-cnn-v1,n=359,k=5,ref=train,test]",
        "recall[digits-cnn-v1,n=359,k=5,ref=train,test]",
        "density[digits-cnn-v1,n=359,k=5,ref=train,test]",
        "coverage[digits-cnn-v1,n=359,k=5,ref=train,test]",
    ]
    assert [MetricName.parse(name).kind for name in scores] == [name.partition("[")[0] for name in scores]


def test_neighbours_are_counted_among_equally_many_samples_and_real_images(
    extractor: FeatureExtractor, reference: Reference, digits: ImageData
) -> None:
    few = scored(extractor, reference, digits.train.images[:100], 100)
    assert "recall[digits-cnn-v1,n=100,k=5,ref=train,test]" in few  # of 1,438 real ones
    rest = take(extractor, digits, split="test", device=CPU, progress=QUIET)
    many = scored(extractor, rest, digits.train.images, 500)
    assert "recall[digits-cnn-v1,n=359,k=5,ref=test,test]" in many  # of 1,438 samples


def test_the_seed_of_a_run_does_not_choose_the_real_images_that_neighbours_are_counted_among(
    extractor: FeatureExtractor, reference: Reference, digits: ImageData
) -> None:
    first, second = (drawn(extractor, digits.test.images[:100], seed) for seed in (0, 1))
    values = [Manifold().distance(each, reference) for each in (first, second)]
    name = "precision[digits-cnn-v1,n=100,k=5,ref=train,ema]"
    assert values[0][name] == values[1][name]
    kid = "kid[digits-cnn-v1,n=100,subsets=100x100,ref=train,ema]"
    # Its subsets are averaged over.
    assert KID().distance(first, reference)[kid] != KID().distance(second, reference)[kid]


def test_a_set_smaller_than_k_gives_fewer_neighbours_and_says_so(
    extractor: FeatureExtractor, reference: Reference, digits: ImageData
) -> None:
    scores = Manifold().distance(drawn(extractor, digits.train.images[:4]), reference)
    assert "coverage[digits-cnn-v1,n=4,k=3,ref=train,ema]" in scores


def test_real_digits_lie_among_each_other_and_noise_does_not(
    extractor: FeatureExtractor, reference: Reference, digits: ImageData
) -> None:
    rng = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, digits.test.images.shape, generator=rng, dtype=torch.uint8)
    real, bad = (
        list(scored(extractor, reference, images, 359).values())[5:] for images in (digits.test.images, noise)
    )
    # Coverage is 0.97 in expectation for two sets of one law and size at k = 5; density 1.
    assert min(real) > 0.75
    assert 2 * max(bad) < min(real)


def test_several_references_share_one_pass(
    extractor: FeatureExtractor, reference: Reference, digits: ImageData
) -> None:
    other = take(extractor, digits, split="test", device=CPU, progress=QUIET)
    with PassCounter([extractor]) as counter:
        samples = drawn(extractor, digits.train.images[:50])
    assert counter.passes(50) == 1
    for score in (FID(), KID(), Manifold()):
        alone, both = score.compute(samples, [other]), score.compute(samples, [reference, other])
        assert alone.items() <= both.items()
        assert len(both) == 2 * len(alone)


def test_real_digits_score_far_better_than_noise(
    extractor: FeatureExtractor, reference: Reference, digits: ImageData
) -> None:
    real = scored(extractor, reference, digits.test.images, 100)
    rng = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, digits.test.images.shape, generator=rng, dtype=torch.uint8)
    worse = scored(extractor, reference, noise, 100)
    inception, _, fid, kid, *_ = real
    assert real[fid] * 5 < worse[fid]
    assert abs(real[kid]) * 5 < worse[kid]
    assert 8 < real[inception] < 10  # ten classes, nearly balanced and nearly certain
    assert worse[inception] < real[inception]


def test_scores_do_not_depend_on_the_batches(
    extractor: FeatureExtractor, reference: Reference, digits: ImageData
) -> None:
    whole = scored(extractor, reference, digits.test.images, 359)
    for name, value in scored(extractor, reference, digits.test.images, 50).items():
        assert value == pytest.approx(whole[name], rel=1e-3, abs=1e-5)  # float32 features


def test_scoring_leaves_the_global_generator_alone(
    extractor: FeatureExtractor, reference: Reference, digits: ImageData
) -> None:
    before = torch.get_rng_state()
    scored(extractor, reference, digits.test.images, 359)
    assert torch.equal(torch.get_rng_state(), before)


def test_each_image_passes_the_network_once(
    extractor: FeatureExtractor, reference: Reference, digits: ImageData
) -> None:
    with PassCounter([extractor.network]) as counter:
        scored(extractor, reference, digits.test.images, 100)
    assert counter.passes(359) == 1


def test_a_reference_on_other_features_is_refused(extractor: FeatureExtractor, reference: Reference) -> None:
    images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match="take both from one extractor"):
        scored(extractor, reference._replace(protocol="inception,res=tf1"), images, 2)


@pytest.mark.parametrize("n", [99, 101])
def test_another_number_of_images_than_was_promised_is_refused(
    extractor: FeatureExtractor, digits: ImageData, n: int
) -> None:
    stream = (sent(extractor, batch, None) for batch in digits.train.images[:n].split(30))
    with pytest.raises(ValueError, match="100 images were expected"):
        collect(stream, 100, extractor=extractor, of="ema", seed=0)


def test_of_many_images_a_fixed_random_part_is_kept_and_all_count_in_the_moments(
    extractor: FeatureExtractor, digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the first ones, which may all be of one class."""
    monkeypatch.setattr("genbench.metrics.feature_pass.RETAINED", 40)
    monkeypatch.setattr("genbench.metrics.feature_pass.LOGITS", 60)
    images, labels = digits.train.images[:200], digits.train.labels
    assert labels is not None
    batches = zip(images.split(64), labels[:200].split(64), strict=True)
    stream = (sent(extractor, *batch) for batch in batches)
    samples = collect(stream, 200, extractor=extractor, of="ema", seed=0)
    index = retained(200, 40).nonzero().flatten()
    assert 0 < int((index >= 100).sum()) < 40
    assert torch.equal(samples.images, images[index])
    assert samples.labels is not None
    assert torch.equal(samples.labels, labels[index])
    assert (len(samples.features), len(samples.logits), samples.moments.n) == (40, 60, 200)
    torch.testing.assert_close(
        samples.moments.mean, extractor(images).features.double().mean(0), rtol=1e-5, atol=1e-5
    )
    names = [*Manifold().distance(samples, take(extractor, digits, device=CPU, progress=QUIET))]
    assert all("n=40" in name for name in names)
    assert any(",n=60," in name for name in InceptionScore(splits=2).compute(samples, []))


def test_a_generator_of_one_image_gets_every_score(
    extractor: FeatureExtractor, reference: Reference, digits: ImageData
) -> None:
    """Its features have no spread, so nothing may be divided by it."""
    held_out = take(extractor, digits, split="test", device=CPU, progress=QUIET)
    assert digits.train.labels is not None
    images, labels = digits.train.images[:1].expand(40, -1, -1, -1), digits.train.labels[:1].expand(40)
    samples = collect([sent(extractor, images, labels)], 40, extractor=extractor, of="ema", seed=0)
    others = (ClassFID(), FIDGap(), FIDInfinity(), SlicedWasserstein(), Authenticity(), NearestImage())
    found = compute(samples, (*STANDARD, *others), [reference, held_out])
    assert all(map(math.isfinite, found.values()))
    kinds = {MetricName.parse(name).kind: value for name, value in found.items()}
    assert (kinds["authenticity"], kinds["nearest"]) == (0, 0)
    # Samples that are all alike tell nothing of others: no interval, but that of a share has a width.
    assert "fid_se" not in kinds
    assert kinds["authenticity_high"] > 0.05


def test_features_of_no_classes_have_no_inception_score(
    extractor: FeatureExtractor, digits: ImageData
) -> None:
    samples = drawn(extractor, digits.test.images[:30])
    assert InceptionScore().compute(replace(samples, logits=samples.logits[:, :0]), []) == {}
