"""Laws of the Inception score."""

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench.metrics.scores.inception_score import inception_score, score_influences, split_count


def test_uniform_predictions_score_one() -> None:
    assert inception_score(torch.zeros(100, 7), seed=0) == pytest.approx((1.0, 0.0), abs=1e-12)


def test_balanced_certain_predictions_score_the_number_of_classes() -> None:
    logits = 100.0 * torch.eye(7).repeat(
        20, 1
    )  # off-class probability e^-100, far below float64's spacing at 1
    assert inception_score(logits, splits=1, seed=0)[0] == pytest.approx(7.0, rel=1e-10)


def test_it_is_the_exponential_of_the_mutual_information() -> None:
    logits = torch.randn(50, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p = logits.softmax(1)
    expected = float((p * (p.log() - p.mean(0).log())).sum(1).mean().exp())
    assert inception_score(logits, splits=1, seed=3)[0] == pytest.approx(expected, rel=1e-12)


def test_the_seed_alone_decides_and_the_global_generator_is_untouched() -> None:
    logits = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    before = torch.get_rng_state()
    first = inception_score(logits, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(10)
    assert inception_score(logits, seed=1) == first
    assert inception_score(logits, seed=2) != first


def test_the_spread_is_that_of_published_scores_the_deviation_of_these_splits() -> None:
    """numpy's std, as Salimans et al. 2016 and all after them take it: it divides by the number of splits."""
    logits = 3 * torch.randn(64, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rng = torch.Generator().manual_seed(3)
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(rng.get_state())
        parts = logits[torch.randperm(64)].chunk(4)
    scores = [inception_score(part, splits=1, seed=0)[0] for part in parts]
    mean, std = inception_score(logits, splits=4, seed=3)
    assert mean == pytest.approx(float(np.mean(scores)), rel=1e-12)
    assert std == pytest.approx(float(np.std(scores)), rel=1e-9)


def test_few_images_a_split_put_it_too_low() -> None:
    logits = 3 * torch.randn(400, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scores = [inception_score(logits, splits=splits, seed=0)[0] for splits in (1, 4, 20)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 1.1 * scores[2]


@pytest.mark.parametrize(("n", "expected"), [(20, 10), (32, 8), (359, 10), (50_000, 10)])
def test_the_number_of_splits_is_the_one_that_torch_makes(n: int, expected: int) -> None:
    assert split_count(n, 10) == len(torch.zeros(n).chunk(10)) == expected


def test_more_splits_than_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="it must be from 1 to 5"):
        inception_score(torch.zeros(5, 2), splits=6, seed=0)


def test_logits_that_are_not_finite_are_refused() -> None:
    with pytest.raises(FloatingPointError):
        inception_score(torch.full((20, 3), float("inf")), seed=0)


def test_an_influence_is_what_the_score_of_one_split_loses_without_the_sample_times_their_number() -> None:
    logits = 2 * torch.randn(80, 5, generator=torch.Generator().manual_seed(0))

    def score(x: Tensor) -> float:
        return inception_score(x, splits=1, seed=0)[0]

    lost = [79 * (score(logits) - score(torch.cat([logits[:j], logits[j + 1 :]]))) for j in range(80)]
    found = score_influences(logits)
    expected = torch.tensor(lost, dtype=torch.float64)
    # The jackknife's terms of second order are about 2 / N of the first.
    torch.testing.assert_close(
        found, expected - expected.mean(), rtol=0, atol=0.05 * float(found.abs().max())
    )
