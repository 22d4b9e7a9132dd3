"""The bootstrap by influences: against the whole bootstrap, and against other samples of the same law."""

from dataclasses import replace

import pytest
import torch
from scipy.stats import binom, binomtest
from torch import Tensor

from genbench.data import Split
from genbench.metrics import (
    FID,
    KID,
    Authenticity,
    FIDGap,
    InceptionScore,
    Manifold,
    NearestImage,
    Score,
    SlicedWasserstein,
)
from genbench.metrics.scores.interval import Influences, Interval, on_roots, share_interval
from genbench.metrics.scores.interval import interval as interval_of
from tests.metrics.sets import correlated, covering, drawn_of, reference_of

D, N = 12, 200


def interval(value: float, influences: Tensor, *, n: int, seed: int) -> Interval:
    return interval_of(value, Influences(influences), n=n, seed=seed)


REAL = reference_of(correlated(500, D, 0))
HELD_OUT = reference_of(correlated(300, D, 1), "test")
SEEDS = range(10, 130)


def samples(seed: int, shift: float = 0.2) -> Tensor:
    """Of a law that is not that of the real features."""
    return correlated(N, D, seed, shift=shift, scale=0.9)


def test_the_spread_of_a_mean_is_its_standard_error_and_the_interval_lies_around_the_value() -> None:
    x = torch.randn(400, generator=torch.Generator().manual_seed(0)).double()
    low, high, se = interval(3.0, x, n=400, seed=0)
    expected = float(x.std()) / 20
    # 1000 replicates know a deviation to 1 / sqrt(2000) = 2.2 %, its 2.5 % quantiles to about 4 %
    assert se == pytest.approx(expected, rel=0.1)
    assert (3 - low, high - 3) == pytest.approx((1.96 * expected, 1.96 * expected), rel=0.2)


def test_influences_of_a_part_give_the_spread_of_the_whole() -> None:
    x = torch.randn(400, generator=torch.Generator().manual_seed(0)).double()
    assert interval(0.0, x, n=40_000, seed=0).se == pytest.approx(interval(0.0, x, n=400, seed=0).se / 10)


def test_the_interval_repeats_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    x = torch.arange(50.0)
    assert interval(0.0, x, n=50, seed=3) == interval(0.0, x, n=50, seed=3)
    assert interval(0.0, x, n=50, seed=3) != interval(0.0, x, n=50, seed=4)
    assert torch.equal(torch.get_rng_state(), before)


def test_many_influences_are_resampled_in_blocks_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(300, generator=torch.Generator().manual_seed(0)).double()
    whole = interval(0.0, x, n=300, seed=0)
    monkeypatch.setattr("genbench.metrics.scores.interval.AT_ONCE", 1000)
    assert interval(0.0, x, n=300, seed=0) == pytest.approx(whole, rel=1e-12)  # the same draws, row by row


# Kinds, and what their value and its spread are called; of the law above.
SCORES: list[tuple[Score, str]] = [
    (FID(), "fid"),
    (KID(subsets=1, subset_size=N), "kid"),
    (InceptionScore(splits=2), "is"),
    (Manifold(), "precision"),
    (Manifold(), "density"),
    (SlicedWasserstein(32), "swd"),
    (Authenticity(), "authenticity"),
]


def values(score: Score, x: Tensor, kind: str, seed: int = 0) -> tuple[float, float, float, float]:
    """The value, low, high and se of a kind."""
    found = {
        name.partition("[")[0]: value
        for name, value in score.compute(drawn_of(x, seed=seed), [REAL, HELD_OUT]).items()
        if "ref=test," not in name
    }
    return tuple(found[kind + part] for part in ("", "_low", "_high", "_se"))  # type: ignore[return-value]


@pytest.mark.parametrize(("score", "kind"), SCORES, ids=lambda value: value if isinstance(value, str) else "")
def test_the_interval_of_one_sample_set_holds_what_other_sets_score_on_average(
    score: Score, kind: str
) -> None:
    """95 % of them do; here 120 independent sets, whose mean is the truth.

    Too few hits at 95 % come up in one of a million; too long an interval shows in its standard error, which
    120 values know to 6.5 %, and the first order leaves wrong by more.
    """
    rows = torch.tensor([values(score, samples(seed), kind, seed) for seed in SEEDS], dtype=torch.float64)
    truth = float(rows[:, 0].mean())
    hits = covering([(low, high) for low, high in rows[:, 1:3].tolist()], truth)
    assert hits >= binom.ppf(1e-6, len(SEEDS), 0.95)
    assert float(rows[:, 3].mean()) == pytest.approx(float(rows[:, 0].std()), rel=0.3)


def splits(seed: int) -> tuple[Tensor, Tensor]:
    """Training and test images of one distribution."""
    return correlated(300, 6, 3 * seed), correlated(100, 6, 3 * seed + 1)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.3, 0.9), (1.5, 0.9)])
def test_the_interval_of_the_gap_is_over_the_real_images_too(shift: float, scale: float) -> None:
    """The gap of a model that repeats nothing is 0, whichever images the splits got: 95 % hold it or more.

    Over the samples alone 87, 66 and 21 % did. The nearer the model, the more of each influence is noise.
    """
    rows = []
    for seed in range(120):
        train, test = splits(seed)
        drawn = drawn_of(correlated(100, 6, 3 * seed + 2, shift=shift, scale=scale), seed=seed)
        rows.append(list(FIDGap().compute(drawn, [reference_of(train), reference_of(test, "test")]).values()))
    value, _, _, se = torch.tensor(rows, dtype=torch.float64).T
    assert covering([(low, high) for _, low, high, _ in rows], 0.0) >= binom.ppf(1e-6, 120, 0.95)
    ratio = float(se.mean() / value.std())
    assert 0.8 < ratio < 1.6  # 120 values know a deviation to 6.5 %


def test_the_gap_of_copies_is_above_0_beyond_its_interval() -> None:
    lows = []
    for seed in range(20):
        train, test = correlated(300, 24, 3 * seed), correlated(300, 24, 3 * seed + 1)
        found = FIDGap().compute(
            drawn_of(train, seed=seed), [reference_of(train), reference_of(test, "test")]
        )
        lows.append(list(found.values())[1])
    assert sum(low > 0 for low in lows) == 20


def test_the_interval_of_a_ratio_to_held_out_images_is_over_these_too() -> None:
    """As many samples as held-out images of one distribution: the ratio is 1, and both move it."""
    rows = []
    for seed in range(100):
        rng = torch.Generator().manual_seed(seed)
        images = torch.randint(0, 256, (240, 1, 3, 3), generator=rng, dtype=torch.uint8)
        train, test, samples = images[:120], images[120:180], images[180:]
        x = correlated(60, 2, 0)
        references = [
            reference_of(x, split)._replace(images=Split(part, None))
            for split, part in (("train", train), ("test", test))
        ]
        found = NearestImage().compute(replace(drawn_of(x, seed=seed), images=samples), references)
        rows.append([number for name, number in found.items() if name.startswith("nearest_ratio")])
    value, _, _, se = torch.tensor(rows, dtype=torch.float64).T
    assert covering([(low, high) for _, low, high, _ in rows], 1.0) >= binom.ppf(1e-6, 100, 0.95)
    assert float(se.mean()) == pytest.approx(float(value.std()), rel=0.3)  # over samples alone 0.71 of it


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_intervals_of_squared_distances_near_0_are_not_below_it_and_hold_the_expectation(
    shift: float,
) -> None:
    """On the plain scale nearly all went below 0, and 84 % held the expectation at a shift of 0.1."""
    real = reference_of(correlated(2000, 2, 0))
    rows = [
        list(FID().distance(drawn_of(correlated(50, 2, seed, shift=shift), seed=seed), real).values())
        for seed in range(10, 310)
    ]
    truth = sum(value for value, *_ in rows) / len(rows)
    assert all(0 <= low <= value <= high for value, low, high, _ in rows)
    hits = covering([(low, high) for _, low, high, _ in rows], truth)
    assert hits >= binom.ppf(1e-6, len(rows), 0.95)


def test_a_distance_of_0_by_rounding_has_an_interval_around_it() -> None:
    x = correlated(50, 2, 0)
    found = FID().distance(drawn_of(x), reference_of(x))
    assert min(found.values()) > -1e-12
    assert on_roots(-1e-14, -1.0) == -1e-14
    assert on_roots(0.0, 0.5) == 0.5
    assert on_roots(1e-12, 1e-6) == pytest.approx(2e-6)
    assert [on_roots(1.0, move) for move in (-3.0, -2.0, -1.0, 0.0, 2.0)] == [0.0, 0.0, 0.25, 1.0, 4.0]


def test_the_interval_of_an_inception_score_is_not_below_1() -> None:
    """Of logits that hardly differ between samples, so that the score is close to its least value."""
    for seed in range(20):
        logits = 0.5 * torch.randn(24, 3, generator=torch.Generator().manual_seed(seed)).double()
        logits[0] *= 20
        found = InceptionScore(splits=2).compute(drawn_of(logits, seed=seed), [])
        value, _, low, high, _ = found.values()
        assert 1 <= low <= value <= high


@pytest.mark.parametrize(("k", "n"), [(0, 64), (64, 64), (1, 64), (359, 359), (180, 359)])
def test_the_interval_of_a_share_is_wilsons_and_no_point_where_all_or_none_count(k: int, n: int) -> None:
    expected = binomtest(k, n).proportion_ci(method="wilson")
    low, high, se = share_interval(k / n, n=n)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert low < high
    assert se > 0


def test_samples_that_are_all_junk_are_no_certainty_about_precision_and_density_has_no_interval() -> None:
    far = samples(0) + 1e3
    found = {name.partition("[")[0]: x for name, x in Manifold().compute(drawn_of(far), [REAL]).items()}
    assert (found["precision"], found["density"]) == (0, 0)
    assert (found["precision_low"], found["precision_high"]) == share_interval(0.0, n=N)[:2]
    assert found["precision_high"] > 0.015
    assert "density_low" not in found
