"""Tables as a reader sees them: rows, columns, verdicts and foot-notes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from genbench.report import Query, Table
from genbench.report.compare import compare
from genbench.report.footnotes import notes
from genbench.report.formats.markdown import markdown
from genbench.report.numbers import whole
from genbench.report.overview import overview
from genbench.report.table import budget_groups

FID, IS = "fid[f-cnn,n=1000,ref=train,{}]", "is[f-cnn,n=1000,splits=10,{}]"
Write = Callable[..., Path]
Sow = Callable[..., None]


@pytest.fixture
def sow(write: Write, result: dict) -> Sow:
    """Writes one run for each value of FID, of seeds 0, 1, .., with some choices and sections replaced."""

    def sow_runs(name: str, fids: list[float | None], config: dict | None = None, **changes: object) -> None:
        choices = {**result["choices"], **changes.pop("choices", {"loss": name})}
        for seed, fid in enumerate(fids):
            write(
                f"{name}-{seed}",
                choices=choices,
                config={"budget": {"images": 60000}} | (config or {}),
                **({"seed": seed, "metrics": {FID.format("ema"): fid, FID.format("test"): 0.5}} | changes),
            )

    return sow_runs


def the_table(folder: Path, query: Query | None = None) -> Table:
    (table,) = compare(folder, query or Query()).tables
    return table


def titles(table: Table) -> list[str]:
    return [column.title for column in table.columns]


def bold(table: Table) -> list[tuple[str, str]]:
    """The first column and the title of each entry in bold."""
    return [
        (str(line.entries[0].value), col.title)
        for line in table.lines
        for col, entry in zip(table.columns, line.entries, strict=True)
        if entry.is_best
    ]


def cells(table: Table, title: str) -> list[str]:
    place = titles(table).index(title)
    return [whole(line.entries[place], table.columns[place].name) for line in table.lines]


def said(table: Table) -> str:
    return "\n".join(notes(table))


# Rows


def test_a_row_is_the_mean_over_the_seeds_of_one_configuration_best_first(tmp_path: Path, sow: Sow) -> None:
    sow("l1", [2.0, 4.0])
    sow("l2", [1.0, 1.5])
    table = the_table(tmp_path)
    assert titles(table)[:2] == ["loss", "FID"]
    assert cells(table, "loss") == ["l2", "l1"]
    assert cells(table, "FID") == ["1.25 ± 0.35", "3.00 ± 1.41"]
    assert "2 seeds per row" in said(table)
    assert "± is the standard deviation over seeds" in said(table)


def test_unequal_numbers_of_seeds_have_a_column(tmp_path: Path, sow: Sow) -> None:
    sow("l1", [2.0, 4.0])
    sow("l2", [1.0])
    assert cells(the_table(tmp_path), "seeds") == ["1", "2"]


def test_by_says_what_a_row_is_and_what_it_pools_is_said(tmp_path: Path, sow: Sow) -> None:
    for schedule in ("cosine", "linear"):
        for loss in ("l1", "l2"):
            sow(f"{schedule}-{loss}", [1.0], choices={"schedule": schedule, "loss": loss})
    table = the_table(tmp_path, Query(by=["loss"]))
    assert cells(table, "loss") == ["l1", "l2"]
    assert [len(line.runs) for line in table.lines] == [2, 2]
    assert "Rows pool runs that differ in schedule." in said(table)
    assert len(the_table(tmp_path, Query(by=["run"])).lines) == 4


def test_only_columns_that_tell_rows_apart_are_there_and_the_rest_is_said_once(
    tmp_path: Path, sow: Sow
) -> None:
    sow("l1", [1.0], {"optim": {"lr": 0.1}})
    sow("l2", [2.0], {"optim": {"lr": 0.2}})
    table = the_table(tmp_path)
    assert titles(table)[:2] == ["loss", "FID"]
    assert "All rows: data digits, model ddpm, schedule cosine" in said(table)
    assert "budget 60,000 images" in said(table)
    assert "Rows also differ in optim.lr" in said(table)


def test_a_setting_has_a_column_where_nothing_else_tells_rows_apart(tmp_path: Path, sow: Sow) -> None:
    for steps in (10, 50):
        sow(f"s{steps}", [1.0], {"sampler": {"steps": steps}}, choices={})
    assert titles(the_table(tmp_path))[0] == "sampler.steps"


def test_rows_are_parted_by_the_precision_that_was_taken_whoever_chose_it(tmp_path: Path, sow: Sow) -> None:
    auto, asked = (
        {"precision": {"_target_": name, **more}} for name, more in (("A", {"gain": 1.2}), ("F", {}))
    )
    sow("auto", [1.0, 2.0], auto, choices={"precision": "fp32"})
    sow("asked", [1.0, 2.0], asked, choices={"precision": "fp32"})
    sow("lower", [3.0, 4.0], auto, choices={"precision": "bf16"})
    table = the_table(tmp_path)
    assert titles(table)[0] == "precision (option)"
    assert cells(table, "precision (option)") == ["fp32", "bf16"]
    assert [len(line.runs) for line in table.lines] == [4, 2]


def test_two_data_sets_and_two_protocols_never_share_a_table(tmp_path: Path, sow: Sow) -> None:
    sow("a", [1.0], choices={"data": "digits"})
    sow("b", [1.0], choices={"data": "mnist"})
    sow("c", [1.0], choices={"data": "mnist"}, metrics={"fid[g,n=50,ref=train,ema]": 1.0})
    found = compare(tmp_path, Query()).tables
    assert [table.title for table in found] == ["digits", "mnist, f-cnn,n=1000", "mnist, g,n=50"]
    assert [[*line.runs] for table in found for line in table.lines] == [["a-0"], ["b-0"], ["c-0"]]


def test_the_same_kind_under_two_protocols_has_two_columns_with_two_marks(tmp_path: Path, sow: Sow) -> None:
    sow("a", [1.0], metrics={FID.format("ema"): 1.0, "fid[g,n=50,ref=train,ema]": 2.0})
    table = the_table(tmp_path)
    assert [(col.title, col.mark) for col in table.columns if col.better][:2] == [("FID", 1), ("FID", 2)]
    assert "[1] f-cnn,n=1000: fid ref=train,ema." in said(table)
    assert "[2] g,n=50: fid ref=train,ema." in said(table)


def test_a_run_with_several_networks_stands_in_the_table_of_the_one_that_others_have_too(
    tmp_path: Path, sow: Sow
) -> None:
    sow("a", [1.0])
    sow("b", [1.0], metrics={"fid[a-cnn,n=50,ref=train,ema]": 2.0, FID.format("ema"): 1.0})
    assert {run for line in the_table(tmp_path).lines for run in line.runs} == {"a-0", "b-0"}


def test_columns_that_are_asked_for_are_shown_and_tell_what_is_unusual(tmp_path: Path, sow: Sow) -> None:
    names = [FID.format("raw"), FID.format("ema").replace("train", "test")]
    sow("a", [1.0], metrics=dict.fromkeys([FID.format("ema"), *names], 1.0))
    table = the_table(tmp_path, Query(columns=[*names, "passes"]))
    assert titles(table)[1:] == ["FID raw", "FID ref=test", "NFE"]


def test_rows_can_be_sorted_by_any_column_both_ways(tmp_path: Path, sow: Sow) -> None:
    for name, fid in (("l1", 1.0), ("l2", 2.0), ("l3", None)):
        sow(name, [fid])
    for sort, expected in (("", "123"), ("-fid", "213"), ("loss", "123"), ("-loss", "321")):
        assert cells(the_table(tmp_path, Query(sort=sort)), "loss") == [f"l{i}" for i in expected]


# Verdicts


def test_a_best_outside_the_noise_is_bold(tmp_path: Path, sow: Sow) -> None:
    sow("l1", [1.0, 1.1, 0.9])
    sow("l2", [2.0, 2.1, 1.9])
    table = the_table(tmp_path)
    assert bold(table) == [("l1", "FID")]
    assert "**1.00 ± 0.10**" in markdown(compare(tmp_path, Query()))
    assert "Welch" in said(table)


def test_a_best_of_one_column_alone_is_none_among_three(tmp_path: Path, sow: Sow) -> None:
    """Welch's p is 0.027; Holm's correction over FID, bits/dim and reconstruction error makes it 0.08."""
    sow("l1", [1.0, 1.5, 2.0])
    sow("l2", [2.4, 2.9, 3.4])
    assert bold(the_table(tmp_path)) == []
    assert bold(the_table(tmp_path, Query(columns=["fid"]))) == [("l1", "FID")]


def test_a_best_inside_the_noise_is_not(tmp_path: Path, sow: Sow) -> None:
    sow("l1", [1.0, 2.0, 3.0])
    sow("l2", [2.0, 3.0, 4.0])
    assert bold(the_table(tmp_path)) == []


def test_one_seed_sets_nothing_in_bold_whatever_its_interval_and_the_table_says_why(
    tmp_path: Path, sow: Sow
) -> None:
    low, high = FID.replace("fid", "fid_low").format("ema"), FID.replace("fid", "fid_high").format("ema")
    sow("l1", [1.0], metrics={FID.format("ema"): 1.0, low: 0.9, high: 1.1})
    sow("l2", [2.0], metrics={FID.format("ema"): 2.0, low: 1.8, high: 2.2})
    table = the_table(tmp_path)
    assert cells(table, "FID") == ["1.00 [0.90, 1.10]", "2.00 [1.80, 2.20]"]
    assert bold(table) == []
    assert "[low, high] is the 95 % interval over samples." in said(table)
    assert "Nothing is in bold: one seed per row does not show how much training varies" in said(table)
    sow("l3", [3.0, 3.1, 2.9])
    sow("l4", [9.0, 9.1, 8.9])
    assert bold(the_table(tmp_path)) == []


def test_a_column_in_which_a_row_has_one_seed_is_named_and_the_others_are_tested(
    tmp_path: Path, sow: Sow
) -> None:
    recall = "recall[f-cnn,n=1000,k=5,ref=train,ema]"
    for name, level in (("l1", 1.0), ("l2", 2.0)):
        for seed, move in enumerate((0.0, 0.01, 0.02)):
            metrics = {FID.format("ema"): level + move} | ({recall: level} if seed == 0 else {})
            sow(f"{name}-{seed}", [0.0], metrics=metrics, seed=seed, choices={"loss": name})
    table = the_table(tmp_path, Query(columns=["fid", "recall"]))
    assert bold(table) == [("l1", "FID")]
    assert "In recall nothing is in bold: a row has one seed there." in said(table)


def test_rows_of_unequal_budgets_are_not_ranked_and_say_so(tmp_path: Path, sow: Sow) -> None:
    sow("l1", [1.0, 1.1, 0.9])
    sow("l2", [2.0, 2.1, 1.9], {"budget": {"images": 90000}})
    table = the_table(tmp_path)
    assert bold(table) == []
    assert cells(table, "budget") == ["60,000 images", "90,000 images"]
    assert "Budgets differ (60,000 images, 90,000 images), so the rows are not ranked" in said(table)


def test_rows_of_one_budget_are_ranked_together_and_a_row_that_pools_several_is_in_none(
    tmp_path: Path, sow: Sow
) -> None:
    for name, images in (("l1", 10), ("l2", 20), ("l3", 10)):
        sow(name, [1.0], {"budget": {"images": images}})
    for images in (10, 20):
        sow(f"l4 of {images}", [1.0], {"budget": {"images": images}}, choices={"loss": "l4"})
    table = the_table(tmp_path, Query(by=["loss"], sort="loss"))
    assert cells(table, "loss") == ["l1", "l2", "l3", "l4"]
    assert budget_groups(table.lines) == {"10 images": [0, 2], "20 images": [1]}


def test_seconds_are_equal_on_one_device_alone(tmp_path: Path, sow: Sow, result: dict) -> None:
    for name, device in (("l1", "cpu"), ("l2", "gpu")):
        sow(name, [1.0], {"budget": {"seconds": 600}}, cost=result["cost"] | {"device": device})
    assert "Budgets differ (600 seconds on cpu, 600 seconds on gpu)" in said(the_table(tmp_path))


def test_in_seconds_the_devices_of_a_run_count(tmp_path: Path, sow: Sow, result: dict) -> None:
    told = (("l1", "cpu (1 threads)", [1.0, 1.1, 0.9]), ("l2", "8 x cpu (1 threads)", [3.0, 3.1, 2.9]))
    for name, device, fids in told:
        cost = result["cost"] | {"device": device}
        sow(name, fids, {"budget": {"seconds": 600}}, cost=cost)
    table = the_table(tmp_path)
    assert bold(table) == []
    assert cells(table, "budget") == ["600 seconds", "4,800 device-seconds"]
    assert "600 seconds on cpu (1 thread)" in said(table)
    assert "4,800 device-seconds on 8 x cpu (1 thread)" in said(table)


def test_an_error_of_exactly_nothing_is_never_the_best(tmp_path: Path, sow: Sow) -> None:
    """Flows' own inverse, as records of before have it; without it the rest is ranked."""
    for name, mse in (("l1", 0.0), ("l2", 0.02), ("l3", 0.03)):
        for seed, move in enumerate((1.0, 1.01, 1.02)):
            section = {"mse": mse * move, "n": 9}
            sow(f"{name}-{seed}", [1.0], reconstruction=section, seed=seed, choices={"loss": name})
    assert bold(the_table(tmp_path)) == [("l2", "rec. MSE")]


# Likelihoods and costs


def likelihood(bits: float | None, bound: str | None, method: str | None = "m") -> dict:
    return {"bits_per_dim": bits, "bound": bound, "method": method, "n": 10}


def test_a_likelihood_carries_the_mark_of_its_kind(tmp_path: Path, sow: Sow) -> None:
    for name, bits, bound in (("l1", 3.5, "exact"), ("l2", 3.6, "lower"), ("l3", 3.7, "estimate")):
        sow(name, [1.0], likelihood=likelihood(bits, bound))
    sow("l4", [1.0], likelihood=likelihood(None, None, None))
    table = the_table(tmp_path, Query(sort="loss"))
    assert cells(table, "bits/dim") == ["3.500", "≤ 3.600", "≈ 3.700", "n/a"]
    assert "≤: upper bound on bits/dim." in said(table)
    assert "≈: estimate, no bound." in said(table)


def test_an_integrated_likelihood_stands_beside_the_error_of_its_solver(tmp_path: Path, sow: Sow) -> None:
    for name, error in (("l1", 0.001), ("l2", -0.06)):
        sow(name, [1.0], likelihood=likelihood(3.5, "estimate") | solver_error(error))
    sow("l3", [1.0], likelihood=likelihood(3.6, "lower"))
    table = the_table(tmp_path, Query(sort="loss"))
    place = titles(table).index("bits/dim")
    assert titles(table)[place + 1] == "solver error"
    assert cells(table, "solver error") == ["0.00100", "-0.06000", "n/a"]
    assert "estimated change of bits/dim with finer steps of the ODE" in said(table)
    assert "Not converged, a solver error of 0.005 bits/dim or more: l2-0;" in said(table)
    assert "(model.process.density_steps, or density.steps and schedule.T" in said(table)
    assert "on 64 held-out images" in said(table)


def solver_error(bits: float) -> dict:
    return {"solver_error_bits": bits, "solver_error_n": 64}


def test_a_table_without_integrated_likelihoods_says_nothing_of_solvers(tmp_path: Path, sow: Sow) -> None:
    sow("l1", [1.0], likelihood=likelihood(3.5, "lower"))
    table = the_table(tmp_path)
    assert "solver error" not in titles(table)
    assert "solver" not in said(table)


def test_a_likelihood_that_was_not_asked_for_is_no_missing_one(tmp_path: Path, sow: Sow) -> None:
    sow("l1", [1.0], likelihood=likelihood(3.5, "lower"))
    sow("l2", [1.0], likelihood=likelihood(None, "lower") | {"n": 0})
    table = the_table(tmp_path, Query(sort="loss"))
    assert cells(table, "bits/dim") == ["≤ 3.500", "–"]
    assert "–: not measured." in said(table)


def test_what_does_not_exist_and_what_was_not_measured_are_told_apart(
    tmp_path: Path, sow: Sow, result: dict
) -> None:
    """A run that was not sampled from has neither scores nor costs of sampling; a model without codes no
    error of rebuilt images, and one without labels no distance within classes."""
    within = FID.replace("fid", "fid_class").format("ema")
    cost = {
        name: None if name in ("passes_per_sample", "seconds_per_image") else x
        for name, x in result["cost"].items()
    }
    labelled = result["choices"] | {"conditional": "true", "loss": "l2"}
    none = {"mse": None, "n": None}
    sow("l1", [1.0], choices=result["choices"] | {"conditional": "false", "loss": "l1"}, reconstruction=none)
    sow("l2", [], choices=labelled)
    sow("l2", [1.0], choices=labelled, metrics={within: 1.0})
    sow(
        "l3",
        [1.0],
        choices=labelled | {"loss": "l3"},
        metrics={},
        cost=cost,
        reconstruction={"mse": None, "n": 0},
    )
    table = the_table(tmp_path, Query(sort="loss", columns=["fid", "fid_class", "NFE", "rec. MSE"]))
    assert cells(table, "FID") == ["1.000", "–", "–"]
    assert cells(table, "FID/class") == ["n/a", "1.000", "–"]
    assert cells(table, "NFE") == ["50", "50", "–"]
    assert cells(table, "rec. MSE") == ["n/a", "0.01230", "–"]
    assert "–: not measured." in said(table)
    assert "n/a: does not exist for this model." in said(table)


def test_a_number_that_some_seeds_lack_says_of_how_many_it_is_and_is_never_bold(
    tmp_path: Path, sow: Sow
) -> None:
    low, high = FID.replace("fid", "fid_low").format("ema"), FID.replace("fid", "fid_high").format("ema")
    for name, fids in (("l1", [1.0, None, None]), ("l2", [2.0, 2.1, 1.9])):
        sow(name, fids)
    sow("l1", [1.0], metrics={FID.format("ema"): 1.0, low: 0.9, high: 1.1})
    table = the_table(tmp_path)
    assert cells(table, "FID") == ["1.00 [0.90, 1.10] (1 of 3)", "2.00 ± 0.10"]
    assert bold(table) == []
    assert "(n of m): only n of the row's m runs have this value" in said(table)


def test_a_later_evaluation_of_one_run_leaves_it_in_its_table_with_one_more_column(
    tmp_path: Path, sow: Sow, evaluated: Callable[..., None]
) -> None:
    sow("l1", [1.0])
    sow("l2", [2.0])
    few = "fid[a-cnn,n=10,ref=train,ema]"  # comes before the common one by its name
    evaluated(tmp_path / "l2-0" / "result.json", {"metrics": {few: 0.5}})
    table = the_table(tmp_path)
    places = [place for place, title in enumerate(titles(table)) if title == "FID"]
    assert [table.columns[place].name for place in places] == [FID.format("ema"), few]
    assert [[line.entries[place].value for place in (0, *places)] for line in table.lines] == [
        ["l1", 1.0, None],
        ["l2", 2.0, 0.5],
    ]


@pytest.mark.parametrize(("other", "expected"), [("lower", [("l1", "bits/dim")]), ("exact", [])])
def test_likelihoods_of_two_kinds_are_not_ranked(
    tmp_path: Path, sow: Sow, other: str, expected: list
) -> None:
    for name, bits, bound in (("l1", 3.5, "lower"), ("l2", 4.5, other)):
        for seed, move in enumerate((0.0, 0.01, 0.02)):
            section = likelihood(bits + move, bound)
            sow(f"{name}-{seed}", [1.0], likelihood=section, seed=seed, choices={"loss": name})
    assert [found for found in bold(the_table(tmp_path)) if found[1] == "bits/dim"] == expected


def test_costs_are_means_in_three_figures(tmp_path: Path, sow: Sow, result: dict) -> None:
    for name, parameters in (("l1", 1234567), ("l2", 298625)):
        sow(name, [1.0], cost=result["cost"] | {"parameters": parameters})
    table = the_table(tmp_path, Query(sort="loss"))
    assert cells(table, "params") == ["1.23M", "299k"]
    assert "device cpu" in said(table)


# Foot-notes


def test_held_out_images_and_too_few_samples_are_said(tmp_path: Path, sow: Sow) -> None:
    sow("l1", [1.0], metrics={"fid[f-cnn,n=359,ref=train,ema]": 1.0, "fid[f-cnn,n=359,ref=train,test]": 0.5})
    notes_of_it = said(the_table(tmp_path))
    assert notes_of_it.startswith(
        "Score of real held-out images (reference for a perfect model): FID 0.5000."
    )
    few = "FID needs about 10 samples for each of the 64 features, 640; there are 359: it is too high"
    assert few in notes_of_it
    sow("l1", [1.0], metrics={"fid[captioned-cnn-v1,n=359,ref=train,ema]": 1.0})
    assert "for each of the 256 features, 2,560; there are 359" in said(the_table(tmp_path))


def test_rows_nearer_to_the_training_images_than_real_ones_are_named(tmp_path: Path, sow: Sow) -> None:
    """As rows are called elsewhere, where several are of one model; not those within their uncertainty."""
    name = "fid[f-cnn,n=359,ref={},{}]"
    real = {name.format("train", "test"): 0.5}
    own, low, high = (
        name.replace("fid", f"fid{end}").format("train", "ema") for end in ("", "_low", "_high")
    )
    sow("l1", [1.0], metrics={own: 1.0, **real})
    sow("huber", [1.0], metrics={own: 0.4, low: 0.2, high: 0.6, **real})
    assert "below that of real held-out" not in said(the_table(tmp_path))
    sow("l2", [1.0], metrics={own: 0.25, low: 0.1, high: 0.45, **real})
    found = said(the_table(tmp_path))
    assert "FID below that of real held-out images, by more than its uncertainty: l2. Such samples" in found
    assert "metrics=full counts copies" in found
    copies = "authenticity[f-cnn,n=359,among=1438,ref=train,ema]"
    sow("hybrid", [1.0, 1.0], metrics={own: 0.3, copies: 0.5, **real})
    found = said(the_table(tmp_path))
    assert "by more than its uncertainty: l2, hybrid. Such samples" in found
    assert "compare authentic with that of held-out images" in found


def test_an_inception_score_of_few_images_a_split_is_said_to_be_too_low(tmp_path: Path, sow: Sow) -> None:
    sow("l1", [1.0], metrics={"is[f-cnn,n=359,splits=10,ema]": 2.0})
    assert "IS is too low by" in said(the_table(tmp_path))
    assert "here 35 (published: 5,000)" in said(the_table(tmp_path))
    sow("l1", [1.0], metrics={"is[f-cnn,n=50000,splits=10,ema]": 2.0})
    assert "IS is too low" not in said(the_table(tmp_path))


def test_a_gap_has_its_interval_over_real_images_too(tmp_path: Path, sow: Sow) -> None:
    name = "fid_gap{}[f-cnn,n=359,among=359,ref=test-train,ema]"
    sow("l1", [1.0], metrics={name.format(part): x for part, x in (("", 1.0), ("_low", 0.5), ("_high", 1.5))})
    assert "[low, high] is the 95 % interval over samples, of FID gap over real images too." in said(
        the_table(tmp_path, Query(columns=["fid_gap"]))
    )


def test_a_foot_note_stands_only_where_its_mark_does(tmp_path: Path, sow: Sow, result: dict) -> None:
    """Costs have a spread over seeds too, which no table shows."""
    for seconds in (1.0, 2.0):
        cost = result["cost"] | {"training_seconds": seconds}
        sow(f"l{seconds:.0f}", [1.0], cost=cost, choices={"loss": "l1"}, config={"optim": {"lr": seconds}})
    pooled = the_table(tmp_path, Query(by=["model", "loss"], columns=["train s"]))
    assert cells(pooled, "train s") == ["1.5"]
    assert not any(mark in said(pooled) for mark in ("±", "[low", "Bold", "bold"))
    alone = said(the_table(tmp_path))
    assert "Nothing is in bold: one seed per row" in alone
    assert not any(mark in alone for mark in ("±", "[low", "Bold:"))


def test_where_no_row_is_best_no_bold_is_explained(tmp_path: Path, sow: Sow) -> None:
    sow("l1", [1.0, 2.0, 3.0])
    sow("l2", [2.0, 3.0, 4.0])
    told = said(the_table(tmp_path))
    assert (
        "No row is better than every other at 95 % in any column, by Welch's two-sided test over seeds"
        in told
    )
    assert "with Holm's correction over 3 columns." in told  # FID, bits/dim and the error of rebuilt images
    assert "bold" not in told


def test_a_spread_over_seeds_of_what_held_out_images_score_is_explained(tmp_path: Path, sow: Sow) -> None:
    for name in ("l1", "l2", "l3"):  # which share the held-out images of a seed
        for seed, test in enumerate((0.5, 0.75)):
            metrics = {FID.format("ema"): 1.0, FID.format("test"): test}
            sow(f"{name}-{seed}", [1.0], metrics=metrics, seed=seed, choices={"loss": name})
    assert "FID 0.62 ± 0.18." in said(the_table(tmp_path))
    assert "± is the standard deviation" in said(the_table(tmp_path))


def test_shares_of_real_images_say_why_they_have_no_interval(tmp_path: Path, sow: Sow) -> None:
    end = "[f-cnn,n=1000,k=5,ref=train,ema]"
    shares = {f"precision{end}": 0.5, f"recall{end}": 0.5}
    sow("l1", [1.0], metrics=shares)
    assert "no interval" not in said(the_table(tmp_path))  # nor has precision one here
    sow("l1", [1.0], metrics=shares | {f"precision_low{end}": 0.4, f"precision_high{end}": 0.6})
    assert "recall has no interval: measured on real images" in said(the_table(tmp_path))


def test_enough_samples_are_not_warned_of(tmp_path: Path, sow: Sow) -> None:
    sow("l1", [1.0])
    assert "too high" not in said(the_table(tmp_path))


def test_runs_that_are_left_out_and_reruns_are_named(tmp_path: Path, sow: Sow, write: Write) -> None:
    sow("l1", [1.0])
    write("r", identity="same")
    write("r-2", identity="same")
    write("bad").write_text("{")
    text = markdown(compare(tmp_path, Query()))
    assert "Not included: bad (damaged: result.json" in text
    before = text.partition("| ---")[0]
    assert "Runs of the same configuration and seed count once, as they do not" in before
    assert "left out are r for r-2. --by run shows every run." in text


def test_many_runs_with_one_reason_are_one_line_and_many_reasons_are_counted(
    tmp_path: Path, sow: Sow, write: Write
) -> None:
    sow("l1", [1.0])
    for i in range(20):
        for name, record in (
            ("on", '{"status": "running"}'),
            ("off", f'{{"status": "failed", "error": "{i}"}}'),
        ):
            (tmp_path / f"{name}-{i:02d}").mkdir()
            (tmp_path / f"{name}-{i:02d}" / "run.json").write_text(record)
    lines = [line for line in markdown(compare(tmp_path, Query())).splitlines() if "Not included" in line]
    assert len(lines) == 9
    assert "- Not included: off-00 (failed: 0)." in lines
    assert lines[-1] == "- Not included: 32 more of 40 runs, for other reasons."
    sow("l2", [1.0])
    for i in range(20):
        (tmp_path / f"off-{i:02d}" / "run.json").write_text('{"status": "running"}')
    (line,) = [line for line in markdown(compare(tmp_path, Query())).splitlines() if "Not included" in line]
    assert line.endswith(
        "off-07 and 32 more (still running or killed; if it was killed, the same command again resumes it)."
    )


def test_a_kind_that_runs_recorded_themselves_has_its_title_and_its_better_side(
    tmp_path: Path, sow: Sow
) -> None:
    name = "crispness[f-cnn,n=1000,ema]"
    kinds = {"crispness": {"title": "Crisp", "better": 1, "interval": "none", "in_tables": True}}
    for loss, level in (("l1", 1.0), ("l2", 2.0)):
        for seed, move in enumerate((0.0, 0.01, 0.02)):
            metrics = {name: level + move}
            sow(f"{loss}-{seed}", [0.0], metrics=metrics, seed=seed, choices={"loss": loss}, kinds=kinds)
    table = the_table(tmp_path, Query(columns=["Crisp"]))
    assert [(col.title, col.arrow) for col in table.columns][1:] == [("Crisp", "↑")]
    assert cells(table, "loss") == ["l2", "l1"]
    assert bold(table) == [("l2", "Crisp")]


def test_runs_of_two_names_count_once_and_it_is_said_first_with_the_remedy(
    tmp_path: Path, sow: Sow, write: Write
) -> None:
    for name in ("a", "b"):
        write(f"{name}/ddpm", identity="same", group=name)
    text = markdown(compare(tmp_path, Query()))
    assert "left out are those in a for those in b (ddpm). --by name,model shows" in text.splitlines()[2]
    apart = compare(tmp_path, Query(by=["name", "model"]))
    assert cells(apart.tables[0], "name") == ["a", "b"]
    assert (apart.beginning, apart.replaced) == ([], {})


def test_a_result_with_nothing_in_it_is_a_row(tmp_path: Path, write: Write) -> None:
    write("a").write_text('{"genbench": "0.1.0"}')
    assert markdown(compare(tmp_path, Query())).startswith("1 run.\n\n| model |\n| ----- |\n| n/a   |\n")


# Hostile names

HOSTILE = "a|b\\|c\nd\r\n| e <script> [red] *x* `y` \ud800 \x00,\"'"


def test_hostile_names_stay_in_their_cells(tmp_path: Path, sow: Sow) -> None:
    fid = f"fid[{HOSTILE.replace('[', '').replace(']', '')},ema]"
    for i in range(2):
        choices = {"model": f"{HOSTILE}{i}", "run": "x", fid: "y", "fid": HOSTILE}
        sow(f"a{i}", [1.0], choices=choices, metrics={fid: float(i)})
    text = markdown(compare(tmp_path, Query()))
    lines = [line for line in text.split("\n") if line.startswith("|")]
    bare = [line.replace("\\\\", "").replace("\\|", "").count("|") for line in lines]
    assert len(lines) == 4
    assert bare == [bare[0]] * 4
    assert "<script" not in text
    assert "\\*x\\*" in text
    assert text.encode()


def test_images_of_another_tool_stand_last_and_share_nothing_with_trained_rows(
    tmp_path: Path, sow: Sow, write: Write
) -> None:
    sow("l1", [5.0, 5.5])
    sow("l2", [6.0, 6.5])
    given = {"target": "mine.npz", "images": 64, "when": "2026-11-30T01:08:00"}
    facts = {"choices": {"model": "mine", "data": "digits"}, "config": {}, "cost": {}, "seed": 7}
    write("mine", given=given, metrics={FID.format("ema"): 1.0}, **facts)
    found = compare(tmp_path, Query())
    assert [line.is_given for line in found.tables[0].lines] == [False, False, True]
    assert "All trained rows: " in said(found.tables[0])
    assert overview(found).startswith("4 runs and 1 set of images of another tool, seeds 0, 1")
