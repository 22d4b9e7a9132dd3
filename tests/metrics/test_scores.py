"""References and scores on the digits themselves."""

from pathlib import Path

import pytest
import torch
from torch import nn

from genbench.data import ImageData
from genbench.metrics import (
    DigitsFeatures,
    FeatureExtractor,
    FeatureScores,
    PassCounter,
    Reference,
    frechet_distance,
)
from genbench.metrics import reference as take
from genbench.metrics.reference import Moments
from genbench.progress import Progress
from genbench.report.names import parse

CPU = torch.device("cpu")
QUIET = Progress(None)


@pytest.fixture
def extractor(digits: ImageData) -> FeatureExtractor:
    return DigitsFeatures().build(digits, device=CPU, progress=QUIET)


@pytest.fixture
def reference(extractor: FeatureExtractor, digits: ImageData) -> Reference:
    return take(extractor, digits, device=CPU, progress=QUIET)


def scored(
    extractor: FeatureExtractor, reference: Reference, images: torch.Tensor, size: int
) -> dict[str, float]:
    scores = FeatureScores(extractor, [reference], of="test", seed=0)
    for batch in images.split(size):
        scores.update(batch)
    return scores.compute()


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
    with pytest.raises(ValueError, match="legal are train, test"):
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
    assert [parse(name).kind for name in scores] == [name.partition("[")[0] for name in scores]


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
    first, second = (FeatureScores(extractor, [reference], of="ema", seed=seed) for seed in (0, 1))
    for scores in (first, second):
        scores.update(digits.test.images[:100])
    assert first.manifold(reference) == second.manifold(reference)
    assert first.distances(reference) != second.distances(reference)  # KID's subsets are averaged over


def test_a_set_smaller_than_k_gives_fewer_neighbours_and_says_so(
    extractor: FeatureExtractor, reference: Reference, digits: ImageData
) -> None:
    scores = FeatureScores(extractor, [reference], of="ema", seed=0, splits=2)
    scores.update(digits.train.images[:4])
    assert "coverage[digits-cnn-v1,n=4,k=3,ref=train,ema]" in scores.compute()


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
    both = FeatureScores(extractor, [reference, other], of="ema", seed=0)
    with PassCounter([extractor]) as counter:
        both.update(digits.train.images[:50])
    assert counter.passes(50) == 1
    alone = FeatureScores(extractor, [other], of="ema", seed=0)
    alone.update(digits.train.images[:50])
    assert alone.compute().items() <= both.compute().items()


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
    from genbench.metrics import PassCounter

    with PassCounter([extractor.network]) as counter:
        scored(extractor, reference, digits.test.images, 100)
    assert counter.passes(359) == 1


def test_a_reference_on_other_features_is_refused(extractor: FeatureExtractor, reference: Reference) -> None:
    with pytest.raises(ValueError, match="take both from one extractor"):
        FeatureScores(extractor, [reference._replace(protocol="inception,res=tf1")], of="ema", seed=0)
