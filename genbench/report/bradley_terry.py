"""Strengths of models from votes between pairs of them: the model of Bradley and Terry, with intervals."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Fit", "Strength", "bradley_terry"]

NORMAL = 1.959963984540054  # the 97.5 % quantile of the normal distribution
STEPS, TOLERANCE = 200, 1e-10  # of Newton's method; it needs about 6


class Strength(NamedTuple):
    """The strength of one entrant: log odds against the mean of its group, with a 95 % interval.

    value, low, high: None where the votes set no bound, see `unbounded`, or there is no vote. group: its
    entrants alone have strengths that compare, numbered from the first entrant's. unbounded: "above" for one
    that won all its votes, "below" for one that lost all, "both" for one that won all votes against some and
    lost all against others; empty where there is a value, or no vote.
    """

    value: float | None
    low: float | None
    high: float | None
    group: int
    unbounded: str = ""


class Fit(NamedTuple):
    """The strengths of all entrants, in their order, and how they are connected by votes."""

    strengths: Sequence[Strength]
    parts: Sequence[Sequence[int]]
    """Entrants that votes connect, directly or by way of others; between two parts there is no vote."""


def bradley_terry(wins: np.ndarray) -> Fit:
    """Estimate strengths s by maximum likelihood under P(i is chosen over j) = 1 / (1 + exp(s_j - s_i)).

    wins: (n, n), wins[i, j] = votes for i over j. The estimate is finite exactly within a group in which each
    entrant is, by way of others, chosen over each (Ford 1957); between groups all votes went one way, and
    no number is given. In a group the strengths add up to 0, and an interval is the value +- 1.96 standard
    errors by the inverse of the observed Fisher information under that constraint. Raises ValueError on
    counts that are negative or of a vote between an entrant and itself.
    Source: Bradley & Terry 1952; Hunter 2004 on when it exists. Newton's method, which comes to the same
    maximum as Hunter's iterations in fewer steps.
    """
    wins = np.asarray(wins, dtype=float)
    if wins.ndim != 2 or wins.shape[0] != wins.shape[1] or (wins < 0).any() or wins.diagonal().any():
        raise ValueError("wins must be square, of counts from 0 up, with 0 on the diagonal")
    from scipy.sparse.csgraph import connected_components

    chosen = wins > 0
    _, groups = connected_components(chosen, directed=True, connection="strong")
    number, part_of = connected_components(chosen, directed=False)
    names = {int(group): i for i, group in enumerate(dict.fromkeys(groups.tolist()), 1)}
    found = [Strength(None, None, None, names[int(group)], side(wins, i)) for i, group in enumerate(groups)]
    for group in names:
        members = np.flatnonzero(groups == group)
        if len(members) > 1:
            values, errors = maximum(wins[np.ix_(members, members)])
            for i, value, error in zip(members.tolist(), values.tolist(), errors.tolist(), strict=True):
                half = NORMAL * error
                found[i] = Strength(value, value - half, value + half, found[i].group)
    return Fit(found, [np.flatnonzero(part_of == part).tolist() for part in range(number)])


def side(wins: np.ndarray, i: int) -> str:
    """Say to which side an entrant that is a group of its own has no bound; empty without a vote."""
    won, lost = wins[i].any(), wins[:, i].any()
    return "both" if won and lost else "above" if won else "below" if lost else ""


def maximum(wins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the strengths of the largest likelihood, which add up to 0, and their standard errors.

    wins: (n, n) of one group. The log likelihood is concave; a step is cut to a length of 1, within which
    its curvature hardly changes. Raises FloatingPointError where the steps do not end.
    """
    n = len(wins)
    votes, flat = wins + wins.T, np.full((n, n), 1 / n)
    s = np.zeros(n)
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(s[None, :] - s[:, None]))
        weights = votes * p * (1 - p)
        # Equal shifts of all strengths change nothing: `flat` fills that direction of the information.
        information = np.diag(weights.sum(1)) - weights
        step = np.linalg.solve(information + flat, wins.sum(1) - (votes * p).sum(1))
        s = s + step / max(1.0, float(abs(step).max()))
        s -= s.mean()
        if abs(step).max() < TOLERANCE * max(1.0, math.log(votes.sum())):
            return s, np.sqrt((np.linalg.inv(information + flat) - flat).diagonal())
    raise FloatingPointError(f"the strengths of {n} entrants did not converge in {STEPS} steps")
