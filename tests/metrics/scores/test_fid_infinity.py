"""The distance of infinitely many samples."""

import pytest
import torch

from genbench.metrics import FIDInfinity, Moments, frechet_distance
from genbench.metrics.scores.fid_infinity import extrapolated
from tests.metrics.sets import correlated, drawn_of, reference_of


def exact(shift: float, d: int) -> Moments:
    """The moments of the law itself, moved."""
    mixing = torch.randn(d, d, generator=torch.Generator().manual_seed(d), dtype=torch.float64) / d**0.5
    moments = Moments(d)
    moments.n, moments.mean = 10**9, torch.full((d,), shift, dtype=torch.float64)
    moments.scatter = mixing.T @ mixing * (moments.n - 1)
    return moments


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_it_is_without_the_bias_of_the_distance_itself(shift: float) -> None:
    """Against the law's own moments, where |m|^2 is the truth; 60 sets of 400."""
    d, truth, real = 12, 12 * shift**2, exact(0.0, 12)
    sizes = torch.linspace(80, 400, 15).round().long().tolist()
    sets = [correlated(400, d, seed, shift=shift) for seed in range(60)]
    found = torch.tensor([extrapolated(x, real, sizes)[0] for x in sets])
    plain = torch.tensor([frechet_distance(Moments.of(x), real) for x in sets])
    error = float(found.std()) / 60**0.5
    assert abs(float(found.mean()) - truth) < 5 * error  # a false alarm below 1e-6
    bias = plain - found
    assert float(bias.mean()) > 5 * float(bias.std()) / 60**0.5


def test_it_is_the_intercept_of_a_line_through_distances_that_lie_on_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def on_a_line(a: Moments, b: Moments) -> float:
        return 3.0 + 7.0 / a.n

    monkeypatch.setattr("genbench.metrics.scores.fid_infinity.frechet_distance", on_a_line)
    value, noise = extrapolated(correlated(100, 4, 0), exact(0.0, 4), [20, 40, 60, 80, 100])
    assert value == pytest.approx(3.0, rel=1e-12)
    assert noise == pytest.approx(0.0, abs=1e-10)


def test_the_error_of_the_line_widens_the_interval() -> None:
    """Over sets of one law the extrapolated value spreads as its standard error says."""
    real = reference_of(correlated(600, 8, 1))
    rows = []
    for seed in range(10, 110):
        found = FIDInfinity().distance(drawn_of(correlated(200, 8, seed, shift=0.2), seed=seed), real)
        rows.append(list(found.values()))
    value, _, _, se = torch.tensor(rows, dtype=torch.float64).T
    assert float(se.mean()) == pytest.approx(float(value.std()), rel=0.35)  # 100 values: 7 %, first order
    assert next(iter(found)) == "fid_inf[f,n=200,sizes=15x0.25,ref=train,ema]"


@pytest.mark.parametrize(
    ("n", "d", "share"), [(39, 8, "0.821"), (200, 8, "0.25"), (100, 8, "0.32"), (359, 64, "0.713")]
)
def test_the_smallest_subset_has_4_samples_a_feature_and_its_share_stands_in_the_name(
    n: int, d: int, share: str
) -> None:
    """359 and 64: the digits' own test split and features."""
    found = FIDInfinity().distance(drawn_of(correlated(n, d, 0)), reference_of(correlated(600, d, 1)))
    assert next(iter(found)) == f"fid_inf[f,n={n},sizes=15x{share},ref=train,ema]"


def test_of_too_few_samples_there_is_none_and_a_warning_says_how_many_it_needs() -> None:
    with pytest.warns(UserWarning, match="needs 39 samples of 8 features, and there are 38: draw more"):
        found = FIDInfinity().distance(drawn_of(correlated(38, 8, 0)), reference_of(correlated(600, 8, 1)))
    assert found == {}


def test_without_4_samples_a_feature_in_the_smallest_subset_it_would_be_too_low() -> None:
    """From 1 sample a feature it is below the truth of 0 by 0.03, a fifth of FID's own bias."""
    d, n = 64, 359
    spectrum = torch.arange(1, d + 1).double() ** -1
    law = Moments(d)
    law.n, law.scatter = 10**9, torch.diag(spectrum) * (10**9 - 1)
    means = []
    for first in (d, 4 * d):
        sizes = torch.linspace(first, n, 15).round().long().tolist()
        rng = torch.Generator().manual_seed(0)
        sets = [torch.randn(n, d, generator=rng).double() * spectrum.sqrt() for _ in range(8)]
        means.append(sum(extrapolated(x, law, sizes)[0] for x in sets) / len(sets))
    assert abs(means[1]) < 0.02 < -means[0]  # a mean of 8 is known to 0.005
