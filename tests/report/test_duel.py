"""Which of two is better, held to scipy's tests and to counting."""

import math
from pathlib import Path

import pytest
from scipy.stats import ttest_rel

from genbench.report.duel import Line, duel, duel_table, paired
from genbench.report.load import Row, Runs

FID = "fid[digits-cnn-v1,n=64,ref=train,ema]"
IS = "is[digits-cnn-v1,n=64,splits=10,ema]"


def runs(*rows: Row) -> Runs:
    return Runs([{"seed": seed, **row} for seed, row in enumerate(rows)], [], [], {}, dict[str, Path]())


def test_pairs_of_seeds_are_held_to_students_test() -> None:
    a, b = [1.2, 1.5, 1.1, 1.9], [1.6, 1.55, 1.9, 2.1]
    (line,) = duel(runs(*({FID: x} for x in a)), runs(*({FID: x} for x in b)))
    less = ttest_rel(a, b, alternative="less")
    assert line.p == pytest.approx(1 - less.pvalue, rel=1e-12)  # a lower distance is better
    assert line.by == "paired over 4 seeds"
    (swapped,) = duel(runs(*({FID: x} for x in b)), runs(*({FID: x} for x in a)))
    assert swapped.p == pytest.approx(1 - line.p, abs=1e-12)


def test_pairing_finds_what_the_spread_over_seeds_would_hide() -> None:
    """Seeds differ by 1, the models by 0.01 at each of them."""
    a, b = [1.0, 2.0, 3.0], [1.010, 2.011, 3.0105]
    (line,) = duel(runs(*({FID: x} for x in a)), runs(*({FID: x} for x in b)))
    assert line.p > 0.999


def test_single_runs_are_compared_by_their_bootstrap_and_scores_the_other_way() -> None:
    a, b = (
        {FID: f, FID.replace("[", "_se[", 1): 0.3, IS: s, IS.replace("[", "_se[", 1): 0.2}
        for f, s in ((1.0, 8.0), (1.6, 7.6))
    )
    lines = {line.name: line for line in duel(runs(a), runs(b))}
    for name, gap, se in ((FID, 0.6, 0.3), (IS, 0.4, 0.2)):
        z = gap / (se * math.sqrt(2))
        assert lines[name].p == pytest.approx(0.5 * math.erfc(-z / math.sqrt(2)), rel=1e-12)
        assert lines[name].by == "bootstrap over samples"


def test_what_nothing_tells_is_not_told() -> None:
    (line,) = duel(runs({"bits_per_dim": 3.1}), runs({"bits_per_dim": 3.2}))
    assert math.isnan(line.p)
    assert duel_table([line, Line(FID, 1, 2, 0.99, "x")], "A", "B").row_count == 2


def test_equal_and_constant_differences() -> None:
    assert paired([0.0, 0.0]) == 0.5
    assert paired([1.0, 1.0, 1.0]) == 1.0
    assert paired([-1.0, -1.0]) == 0.0


def test_other_protocols_are_not_compared() -> None:
    with pytest.raises(ValueError, match="share no measure"):
        duel(runs({FID: 1.0}), runs({FID.replace("n=64", "n=128"): 1.0}))
