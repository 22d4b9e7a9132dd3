"""The better of two sides, held to scipy's tests and to counting."""

import io
import json
import math
import random
from pathlib import Path

import pytest
from rich.console import Console
from scipy.stats import ttest_ind, ttest_rel

from genbench.report.columns import column
from genbench.report.data_frame import Cell, frame_of
from genbench.report.runs import Runs
from genbench.report.two_sided import (
    Measure,
    Values,
    compare_sides,
    compare_values,
    read_sides,
    sides_table,
)

FID = "fid[digits-cnn-v1,n=64,ref=train,ema]"
Row = dict[str, Cell]
IS = "is[digits-cnn-v1,n=64,splits=10,ema]"


def runs(*rows: Row) -> Runs:
    """Runs of seeds 0, 1, ..; what a row says of its choices and settings stands for itself."""
    named: list[Row] = [{"seed": seed, "run": f"run-{seed}", **row} for seed, row in enumerate(rows)]
    there = set().union(*rows)
    choices = [name for name in ("model", "data", "schedule") if name in there]
    settings = [name for name in ("data.binarize", "sampler.steps") if name in there]
    return Runs(frame_of(named), choices, settings)


def test_pairs_of_seeds_are_held_to_students_test() -> None:
    a, b = [1.2, 1.5, 1.1, 1.9], [1.6, 1.55, 1.9, 2.1]
    (line,) = compare_sides(runs(*({FID: x} for x in a)), runs(*({FID: x} for x in b)))
    less = ttest_rel(a, b, alternative="less")
    assert line.p == pytest.approx(1 - less.pvalue, rel=1e-12)  # a lower distance is better
    assert line.by == "paired t test over 4 seeds"
    (swapped,) = compare_sides(runs(*({FID: x} for x in b)), runs(*({FID: x} for x in a)))
    assert swapped.p == pytest.approx(1 - line.p, abs=1e-12)


def test_pairing_finds_what_the_spread_over_seeds_would_hide() -> None:
    """Seeds differ by 1, the models by 0.01 at each of them."""
    a, b = [1.0, 2.0, 3.0], [1.010, 2.011, 3.0105]
    (line,) = compare_sides(runs(*({FID: x} for x in a)), runs(*({FID: x} for x in b)))
    assert line.p > 0.999


def test_single_runs_are_compared_by_their_bootstrap_and_scores_the_other_way() -> None:
    a, b = (
        {FID: f, FID.replace("[", "_se[", 1): 0.3, IS: s, IS.replace("[", "_se[", 1): 0.2}
        for f, s in ((1.0, 8.0), (1.6, 7.6))
    )
    lines = {line.column.name: line for line in compare_sides(runs(a), runs(b))}
    for name, gap, se in ((FID, 0.6, 0.3), (IS, 0.4, 0.2)):
        z = gap / (se * math.sqrt(2))
        assert lines[name].p == pytest.approx(0.5 * math.erfc(-z / math.sqrt(2)), rel=1e-12)
        assert lines[name].by == "samples of one run each"


def test_single_runs_without_a_spread_of_samples_leave_it_open() -> None:
    a, b = ({FID: f, FID.replace("[", "_se[", 1): 0.0} for f in (1.0, 1.6))
    (line,) = compare_sides(runs(a), runs(b))
    assert math.isnan(line.p)


def test_what_nothing_tells_is_not_told() -> None:
    (line,) = compare_sides(runs({"bits_per_dim": 3.1}), runs({"bits_per_dim": 3.2}))
    assert math.isnan(line.p)
    assert sides_table([line, Measure(column(FID), 1, 2, 0.99, "x")], "AB", []).row_count == 2


def test_equal_runs_are_even_and_constant_differences_say_nothing() -> None:
    one, two = (runs(*({FID: fid + move} for fid in (1.0, 2.0, 3.0))) for move in (0.0, 0.5))
    ((same,), (moved,)) = compare_sides(one, one), compare_sides(one, two)
    assert (same.p, same.is_significant) == (0.5, False)
    assert math.isnan(moved.p)
    assert not moved.is_significant


def test_two_pairs_are_compared_as_the_tables_do_by_welchs_test() -> None:
    a, b = [1.0, 1.1], [2.0, 2.1]
    (line,) = compare_sides(runs(*({FID: x} for x in a)), runs(*({FID: x} for x in b)))
    assert line.p == pytest.approx(1 - ttest_ind(a, b, equal_var=False, alternative="less").pvalue, rel=1e-9)
    assert (line.by, line.is_significant) == ("Welch's test, 2 and 2 runs", True)


def test_runs_of_other_seeds_are_compared_by_welchs_test() -> None:
    a, b = [1.2, 1.5, 1.1], [1.6, 1.9, 2.1]
    other = runs(*({FID: x, "seed": seed} for seed, x in zip((3, 4, 5), b, strict=True)))
    (line,) = compare_sides(runs(*({FID: x} for x in a)), other)
    assert line.p == pytest.approx(1 - ttest_ind(a, b, equal_var=False, alternative="less").pvalue, rel=1e-9)
    assert line.by == "Welch's test, 3 and 3 runs"


def bold(lines: list[Measure]) -> list[str]:
    return [line.column.name for line in lines if line.is_significant]


def test_both_tails_count_and_measures_are_corrected_by_holm() -> None:
    """P of 0.962 is no difference at 95 %, two-sided; 0.980 is one alone, and none of three measures."""
    a, b = [1.0, 1.2, 1.1], [2.0, 1.7, 1.5]
    (line,) = lines = compare_sides(runs(*({FID: x} for x in a)), runs(*({FID: x} for x in b)))
    assert 0.95 < line.p < 0.975
    assert bold(lines) == []
    b = [1.4, 1.5, 1.7]
    names = [FID, FID.replace("fid", "kid"), FID.replace("fid", "swd")]
    single = compare_sides(runs(*({FID: x} for x in a)), runs(*({FID: x} for x in b)))
    assert 0.975 < single[0].p < 1 - 0.025 / 3
    assert bold(single) == [FID]
    assert bold(compare_sides(*(runs(*(dict.fromkeys(names, x) for x in xs)) for xs in (a, b)))) == []


@pytest.mark.parametrize("seeds", [(0, 1), (0, 1, 2), (3, 4, 5)])
def test_equal_models_differ_in_at_most_5_per_cent_of_all_comparisons(seeds: tuple[int, ...]) -> None:
    """In any of four measures, two of them alike; paired, and of other seeds."""
    rng, draws = random.Random(0), 1000
    columns = [column(FID.replace("fid", kind)) for kind in ("fid", "kid", "swd", "precision")]

    def model(seeds: tuple[int, ...]) -> list[Values]:
        values = [[rng.gauss(5, 1) for _ in seeds] for _ in columns[1:]]
        return [Values(x, [*seeds], [None] * len(seeds)) for x in (*values, values[0])]

    wrong = 0
    for _ in range(draws):
        sides = zip(columns, model((0, 1, 2)[: len(seeds)]), model(seeds), strict=True)
        wrong += bool(bold(compare_values(sides)))
    assert wrong < 0.05 * draws + 5 * math.sqrt(0.05 * 0.95 * draws)


def test_one_run_on_a_side_sets_nothing_in_bold_and_says_why() -> None:
    a, b = ({FID: f, FID.replace("[", "_se[", 1): 0.01} for f in (1.0, 9.0))
    for lines in (compare_sides(runs(a), runs(b)), compare_sides(runs(a, a), runs(b))):
        assert bold(lines) == []
        assert "one run does not show how much training varies" in str(sides_table(lines, "AB", []).caption)


def test_other_protocols_are_not_compared() -> None:
    with pytest.raises(ValueError, match="share no measure"):
        compare_sides(runs({FID: 1.0}), runs({FID.replace("n=64", "n=128"): 1.0}))


@pytest.mark.parametrize(
    ("key", "one", "other"), [("data", "digits", "mnist"), ("data.binarize", True, False)]
)
def test_runs_of_other_data_are_refused(key: str, one: str | bool, other: str | bool) -> None:
    sides = (runs({FID: 1.0, "data": "digits", key: value}) for value in (one, other))
    with pytest.raises(ValueError, match="numbers of two sets of images do not compare"):
        compare_sides(*sides)


def test_several_configurations_are_refused_with_what_differs() -> None:
    two = runs({FID: 1.0, "schedule": "cosine"}, {FID: 1.5, "schedule": "linear"})
    with pytest.raises(ValueError, match=r"B is several configurations, which differ in schedule: "):
        compare_sides(runs({FID: 1.0, "schedule": "cosine"}), two)


def test_likelihoods_of_other_kinds_are_left_out() -> None:
    lower, exact = ({"bits_per_dim": 3.0, "bound": bound, FID: 1.0} for bound in ("lower", "exact"))
    assert [line.column.name for line in compare_sides(runs(lower), runs(exact))] == [FID]
    assert [line.column.name for line in compare_sides(runs(lower), runs(lower))] == [FID, "bits_per_dim"]
    with pytest.raises(ValueError, match="share no measure"):
        compare_sides(
            *(runs({name: row[name] for name in ("bits_per_dim", "bound")}) for row in (lower, exact))
        )


def test_unequal_budgets_stand_in_the_title() -> None:
    a, b = (runs({FID: 1.0, "budget": words}) for words in ("100 images", "200 images"))
    title = str(sides_table(compare_sides(a, b), "AB", [a, b]).title)
    assert "unequal budgets: 100 images; 200 images" in title
    assert "unequal" not in str(sides_table(compare_sides(a, a), "AB", [a, a]).title)


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
    with pytest.raises(ValueError, match=r"A is of digits, B of digits_binary"):
        compare_sides(*read_sides(tmp_path / "a", tmp_path / "b"))
    with pytest.raises(ValueError, match=r"a/run is a run of both A and B.*--a model=ddpm"):
        compare_sides(*read_sides(tmp_path / "a", tmp_path / "a" / "run"))


def test_of_reruns_the_last_counts(tmp_path: Path) -> None:
    for run, fid in (("a/run", 9.0), ("a/run-2", 1.0), ("b/run", 2.0)):
        save(tmp_path / run, fid)
    (line,) = compare_sides(*read_sides(tmp_path / "a", tmp_path / "b"))
    assert (line.a, line.b) == (1.0, 2.0)


def test_runs_without_a_seed_are_compared_too(tmp_path: Path) -> None:
    for name, fid in (("a", 1.0), ("b", 2.0)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "result.json").write_text(json.dumps({"genbench": "0", "metrics": {FID: fid}}))
    (line,) = compare_sides(*read_sides(tmp_path / "a", tmp_path / "b"))
    assert (line.a, line.b) == (1.0, 2.0)


def test_measures_go_by_their_titles_and_their_protocol_stands_below_at_80_columns() -> None:
    name = "precision[digits-cnn-v1,n=64,k=5,ref=train,ema]"
    sides = runs({FID: 1.0, name: 0.5}), runs({FID: 2.0, name: 0.6})
    console = Console(file=io.StringIO(), width=80)
    console.print(sides_table(compare_sides(*sides), ["a", "b"], sides))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("│ precision (k-NN) ↑ │") for line in lines)
    assert "digits-cnn-v1, n=64: FID ref=train, ema; precision (k-NN) k=5, ref=train, ema." in " ".join(
        " ".join(lines).split()
    )
