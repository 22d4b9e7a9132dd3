"""Which of two is better, held to scipy's tests and to counting."""

import json
import math
import random
from pathlib import Path

import pytest
from scipy.stats import ttest_ind, ttest_rel

from genbench.report.duel import Line, both, budgets, duel, duel_table
from genbench.report.runs import Row, Runs

FID = "fid[digits-cnn-v1,n=64,ref=train,ema]"
IS = "is[digits-cnn-v1,n=64,splits=10,ema]"


def runs(*rows: Row) -> Runs:
    """Runs of seeds 0, 1, ..; what a row says of its choices and settings stands for itself."""
    named: list[Row] = [{"seed": seed, "run": f"run-{seed}", **row} for seed, row in enumerate(rows)]
    there = set().union(*rows)
    choices = [name for name in ("model", "data", "schedule") if name in there]
    settings = [name for name in ("data.binarize", "sampler.steps") if name in there]
    return Runs(named, choices, settings, {}, dict[str, Path]())


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
        assert lines[name].by == "samples of one run each"


def test_single_runs_without_a_spread_of_samples_leave_it_open() -> None:
    a, b = ({FID: f, FID.replace("[", "_se[", 1): 0.0} for f in (1.0, 1.6))
    (line,) = duel(runs(a), runs(b))
    assert math.isnan(line.p)


def test_what_nothing_tells_is_not_told() -> None:
    (line,) = duel(runs({"bits_per_dim": 3.1}), runs({"bits_per_dim": 3.2}))
    assert math.isnan(line.p)
    assert duel_table([line, Line(FID, 1, 2, 0.99, "x")], "A", "B").row_count == 2


def test_equal_runs_are_even_and_constant_differences_say_nothing() -> None:
    one, two = (runs(*({FID: fid + move} for fid in (1.0, 2.0, 3.0))) for move in (0.0, 0.5))
    ((same,), (moved,)) = duel(one, one), duel(one, two)
    assert (same.p, same.is_sure) == (0.5, False)
    assert math.isnan(moved.p)
    assert not moved.is_sure


def test_runs_of_other_seeds_are_compared_by_welchs_test() -> None:
    a, b = [1.2, 1.5, 1.1], [1.6, 1.9, 2.1]
    other = runs(*({FID: x, "seed": seed} for seed, x in zip((3, 4, 5), b, strict=True)))
    (line,) = duel(runs(*({FID: x} for x in a)), other)
    assert line.p == pytest.approx(1 - ttest_ind(a, b, equal_var=False, alternative="less").pvalue, rel=1e-9)
    assert line.by == "3 and 3 runs"


def bold(lines: list[Line]) -> list[str]:
    return [line.name for line in lines if line.is_sure]


def test_both_tails_count_and_measures_are_corrected_by_holm() -> None:
    """P of 0.962 is no difference at 95 %, two-sided; 0.980 is one alone, and none of three measures."""
    a, b = [1.0, 1.2, 1.1], [2.0, 1.7, 1.5]
    (line,) = lines = duel(runs(*({FID: x} for x in a)), runs(*({FID: x} for x in b)))
    assert 0.95 < line.p < 0.975
    assert bold(lines) == []
    b = [1.4, 1.5, 1.7]
    names = [FID, FID.replace("fid", "kid"), FID.replace("fid", "swd")]
    single = duel(runs(*({FID: x} for x in a)), runs(*({FID: x} for x in b)))
    assert 0.975 < single[0].p < 1 - 0.025 / 3
    assert bold(single) == [FID]
    assert bold(duel(*(runs(*(dict.fromkeys(names, x) for x in xs)) for xs in (a, b)))) == []


@pytest.mark.parametrize("seeds", [(0, 1, 2), (3, 4, 5)])
def test_equal_models_differ_in_at_most_5_per_cent_of_all_comparisons(seeds: tuple[int, ...]) -> None:
    """In any of four measures, two of them alike; paired, and of other seeds."""
    rng, draws = random.Random(0), 1000
    names = [FID.replace("fid", kind) for kind in ("fid", "kid", "swd", "precision")]

    def model(seeds: tuple[int, ...]) -> Runs:
        rows = []
        for seed in seeds:
            x = [rng.gauss(5, 1) for _ in names]
            rows.append(dict(zip(names, [*x[:3], x[0]], strict=True)) | {"seed": seed})
        return runs(*rows)

    wrong = sum(bool(bold(duel(model((0, 1, 2)), model(seeds)))) for _ in range(draws))
    assert wrong < 0.05 * draws + 5 * math.sqrt(0.05 * 0.95 * draws)


def test_one_run_on_a_side_sets_nothing_in_bold_and_says_why() -> None:
    a, b = ({FID: f, FID.replace("[", "_se[", 1): 0.01} for f in (1.0, 9.0))
    for lines in (duel(runs(a), runs(b)), duel(runs(a, a), runs(b))):
        assert bold(lines) == []
        assert "one run says nothing of the noise of training" in str(duel_table(lines, "A", "B").caption)


def test_other_protocols_are_not_compared() -> None:
    with pytest.raises(ValueError, match="share no measure"):
        duel(runs({FID: 1.0}), runs({FID.replace("n=64", "n=128"): 1.0}))


@pytest.mark.parametrize(
    ("key", "one", "other"), [("data", "digits", "mnist"), ("data.binarize", True, False)]
)
def test_runs_of_other_data_are_refused(key: str, one: str | bool, other: str | bool) -> None:
    with pytest.raises(ValueError, match="numbers of two sets of images do not compare"):
        duel(runs({FID: 1.0, "data": "digits", key: one}), runs({FID: 1.0, "data": "digits", key: other}))


def test_several_configurations_are_refused_with_what_differs() -> None:
    two = runs({FID: 1.0, "schedule": "cosine"}, {FID: 1.5, "schedule": "linear"})
    with pytest.raises(ValueError, match=r"B is several configurations, which differ in schedule: "):
        duel(runs({FID: 1.0, "schedule": "cosine"}), two)


def test_likelihoods_of_other_kinds_are_left_out() -> None:
    lower, exact = ({"bits_per_dim": 3.0, "bound": bound, FID: 1.0} for bound in ("lower", "exact"))
    assert [line.name for line in duel(runs(lower), runs(exact))] == [FID]
    assert [line.name for line in duel(runs(lower), runs(lower))] == [FID, "bits_per_dim"]
    with pytest.raises(ValueError, match="share no measure"):
        duel(*(runs({name: row[name] for name in ("bits_per_dim", "bound")}) for row in (lower, exact)))


def test_unequal_budgets_stand_in_the_title() -> None:
    a, b = (runs({FID: 1.0, "budget": words}) for words in ("100 images", "200 images"))
    assert "unequal budgets: 100 images; 200 images" in str(
        duel_table(duel(a, b), "A", "B", budgets(a, b)).title
    )
    assert "unequal" not in str(duel_table(duel(a, a), "A", "B", budgets(a, a)).title)


def save(folder: Path, fid: float, *, binarize: bool = False) -> None:
    """The result of a run of one identity."""
    content = {
        "genbench": "0.1.0",
        "identity": "x",
        "seed": 0,
        "choices": {"model": "ddpm", "data": "digits"},
        "config": {"data": {"binarize": binarize}},
        "metrics": {FID: fid},
    }
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(content))


def test_directories_are_read_together_so_that_a_setting_of_one_side_is_seen(tmp_path: Path) -> None:
    """Each side for itself has no setting that differs."""
    save(tmp_path / "a" / "run", 1.5)
    save(tmp_path / "b" / "run", 1.5, binarize=True)
    with pytest.raises(ValueError, match=r"A is of digits \(data.binarize=false\), B of digits"):
        duel(*both(tmp_path / "a", tmp_path / "b"))
    assert len(duel(*both(tmp_path / "a", tmp_path / "a" / "run"))) == 1


def test_of_reruns_the_last_counts(tmp_path: Path) -> None:
    for run, fid in (("a/run", 9.0), ("a/run-2", 1.0), ("b/run", 2.0)):
        save(tmp_path / run, fid)
    (line,) = duel(*both(tmp_path / "a", tmp_path / "b"))
    assert (line.a, line.b) == (1.0, 2.0)
