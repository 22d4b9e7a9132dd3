"""The Vendi score: the exponential of the entropy of a similarity matrix."""

import math

import pytest
import torch
from torch import Tensor

from genbench.metrics import Vendi
from genbench.metrics.scores.vendi import vendi_score
from tests.metrics.sets import correlated, drawn_of


def by_definition(x: Tensor) -> float:
    """exp(-sum l log l) of the eigenvalues of the whole matrix of cosines over n."""
    u = x.double() / x.double().norm(dim=1, keepdim=True)
    values = torch.linalg.eigvalsh(u @ u.T / len(x))
    values = values[values > 1e-12]
    return math.exp(-float((values * values.log()).sum()))


def test_n_orthogonal_samples_count_as_n_and_n_equal_ones_as_one() -> None:
    assert vendi_score(3 * torch.eye(7, 9))[0] == pytest.approx(7, rel=1e-12)
    assert vendi_score(torch.ones(7, 9))[0] == pytest.approx(1, rel=1e-12)


def test_groups_of_equal_samples_count_by_the_entropy_of_their_shares() -> None:
    shares = torch.tensor([0.5, 0.3, 0.2])
    x = torch.eye(3, 5).repeat_interleave(torch.tensor([5, 3, 2]), dim=0)
    expected = math.exp(-float((shares * shares.log()).sum()))
    assert vendi_score(x)[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("n", "d"), [(20, 6), (6, 20)])
def test_it_is_the_published_formula_whichever_matrix_is_smaller(n: int, d: int) -> None:
    x = correlated(n, d, 0, shift=0.5)
    assert vendi_score(x)[0] == pytest.approx(by_definition(x), rel=1e-9)


def test_it_does_not_depend_on_the_lengths_of_features() -> None:
    x = correlated(20, 6, 1)
    lengths = torch.arange(1.0, 21)[:, None]
    assert vendi_score(x * lengths)[0] == pytest.approx(vendi_score(x)[0], rel=1e-12)


@pytest.mark.parametrize("d", [4, 60])
def test_an_influence_is_the_derivative_of_the_score_in_the_samples_weight(d: int) -> None:
    """One more copy of a sample among 400 copies of each."""
    x = correlated(30, d, 2)
    value, influences = vendi_score(x)
    copies = x.repeat_interleave(400, 0)
    for i in (0, 29):
        change = vendi_score(torch.cat([copies, x[i : i + 1]]))[0] - value
        assert change * (len(copies) + 1) == pytest.approx(float(influences[i]), rel=0.02, abs=0.02)
    assert abs(float(influences.mean())) < 1e-9


def test_the_score_has_an_interval_around_it_and_no_reference() -> None:
    found = Vendi().compute(drawn_of(correlated(50, 6, 3)), [])
    low, value, high = (found[f"vendi{end}[f,n=50,ema]"] for end in ("_low", "", "_high"))
    assert 1 < low < value < high < 6


def test_features_without_a_length_count_as_nothing() -> None:
    value, influences = vendi_score(torch.zeros(5, 3))
    assert value == 1
    assert not influences.any()
