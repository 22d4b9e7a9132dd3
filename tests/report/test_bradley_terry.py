import itertools
import math

import numpy as np
import pytest

from genbench.report.bradley_terry import bradley_terry


def test_two_entrants_have_the_log_odds_of_their_votes_and_its_closed_interval() -> None:
    first, second = bradley_terry(np.array([[0, 30], [10, 0]])).strengths
    half = 1.959964 * math.sqrt(1 / 30 + 1 / 10) / 2  # each has half of the difference and of its error
    assert first.value == pytest.approx(math.log(3) / 2)
    assert (first.low, first.high) == pytest.approx((math.log(3) / 2 - half, math.log(3) / 2 + half))
    assert second.value == pytest.approx(-math.log(3) / 2)


def votes(s: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Simulate n votes of each pair."""
    wins = np.zeros((len(s), len(s)))
    for i, j in itertools.combinations(range(len(s)), 2):
        wins[i, j] = rng.binomial(n, 1 / (1 + math.exp(s[j] - s[i])))
        wins[j, i] = n - wins[i, j]
    return wins


def test_expected_votes_give_back_the_strengths() -> None:
    s = np.array([2.5, 0.5, -1.0, -2.0])
    odds = np.exp(s)
    wins = 100 * odds[:, None] / (odds[:, None] + odds[None, :]) * (1 - np.eye(4))
    assert [x.value for x in bradley_terry(wins).strengths] == pytest.approx(s - s.mean())


def test_it_is_the_maximum_that_hunters_iterations_reach() -> None:
    wins = votes(np.array([1.5, 0.0, -0.5, -1.0]), 20, np.random.default_rng(0))
    wins[0, 3] = wins[3, 0] = 0  # a pair that never met
    pi, met = np.ones(4), wins + wins.T
    for _ in range(5000):
        pi = wins.sum(1) / (met / (pi[:, None] + pi[None, :])).sum(1)
    hunter = np.log(pi) - np.log(pi).mean()
    assert [x.value for x in bradley_terry(wins).strengths] == pytest.approx(hunter, abs=1e-8)


def test_it_is_far_from_zero_where_all_but_one_vote_of_thousands_agree() -> None:
    first, _ = bradley_terry(np.array([[0, 10**6], [1, 0]])).strengths
    assert first.value == pytest.approx(math.log(10**6) / 2)


def test_the_order_of_the_entrants_does_not_matter() -> None:
    wins = votes(np.array([1.0, 0.2, -0.3, -0.9, 0.0]), 15, np.random.default_rng(1))
    order = [3, 0, 4, 1, 2]
    moved = bradley_terry(wins[np.ix_(order, order)]).strengths
    there = bradley_terry(wins).strengths
    for place, i in enumerate(order):
        assert moved[place][:3] == pytest.approx(there[i][:3], abs=1e-9)


def test_intervals_cover_the_true_strength_in_95_of_100_simulated_polls() -> None:
    s, rng = np.array([0.8, 0.3, -0.2, -0.9]), np.random.default_rng(2)
    covered = [
        found.low <= true <= found.high
        for _ in range(500)
        for true, found in zip(s, bradley_terry(votes(s, 40, rng)).strengths, strict=True)
        if found.low is not None and found.high is not None
    ]
    assert len(covered) == 2000
    assert 0.925 < np.mean(covered) < 0.97  # five standard errors of 500 polls


def test_what_always_wins_or_loses_gets_no_number() -> None:
    wins = np.array([[0, 5, 5, 5], [0, 0, 3, 5], [0, 2, 0, 5], [0, 0, 0, 0]])
    top, second, third, last = bradley_terry(wins).strengths
    assert (top.value, top.unbounded) == (None, "above")
    assert (last.value, last.unbounded) == (None, "below")
    assert second.value == pytest.approx(math.log(3 / 2) / 2)
    assert second.group == third.group
    chain = bradley_terry(np.array([[0, 4, 0], [0, 0, 4], [0, 0, 0]])).strengths
    assert [x.unbounded for x in chain] == ["above", "both", "below"]


def test_entrants_that_no_vote_connects_are_parts_of_their_own() -> None:
    wins = np.array([[0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 4], [0, 0, 1, 0]])
    fit = bradley_terry(wins)
    assert fit.parts == [[0, 1], [2, 3]]
    assert [x.group for x in fit.strengths] == [1, 1, 2, 2]
    assert fit.strengths[2].value == pytest.approx(math.log(4) / 2)


@pytest.mark.parametrize("wins", [[[0, -1], [1, 0]], [[1, 1], [1, 0]], [[0, 1]]])
def test_what_is_no_table_of_votes_is_refused(wins: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="wins must be square"):
        bradley_terry(np.array(wins))
