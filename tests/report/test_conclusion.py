"""Conclusions in words: they agree with what is bold, err as rarely, and say what does not compare."""

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from genbench.report import Query, Table
from genbench.report.compare import compare
from genbench.report.conclusion import conclusion, sides_conclusion
from genbench.report.data_frame import frame_of
from genbench.report.numbers import p_words
from genbench.report.query import filtered
from genbench.report.runs import Runs
from genbench.report.table import tables
from genbench.report.two_sided import compare_sides

Write = Callable[..., Path]
KINDS = {"fid": "ref=train", "kid": "ref=train", "is": "splits=10", "precision": "k=5,ref=train"}
NAMES = {kind: f"{kind}[f-cnn,n=1000,{details},ema]" for kind, details in KINDS.items()}


def runs_of(models: dict[str, Sequence[dict[str, object]]]) -> Runs:
    """Runs in memory, of seeds 0, 1, ..; the values of each by kind or column."""
    rows = [
        {"run": f"{model}-{seed}", "model": model, "data": "digits", "seed": seed, "budget": "9 images"}
        | {"device": "cpu", "identity": f"{model}-{seed}"}
        | {NAMES.get(name, name): value for name, value in values.items()}
        for model, several in models.items()
        for seed, values in enumerate(several)
    ]
    return Runs(frame_of(rows), ["model", "data"], [])


def the_table(models: dict[str, Sequence[dict[str, object]]]) -> Table:
    (table,) = tables(runs_of(models), Query())
    return table


def fids(*values: float, **more: object) -> list[dict[str, object]]:
    return [{"fid": value} | more for value in values]


def test_the_lead_that_is_not_significant_is_said_with_its_test() -> None:
    said = conclusion(the_table({"vae": fids(4.0, 5.0, 6.0), "flow": fids(3.5, 4.5, 5.0)}))
    assert said == (
        "flow has the lowest FID (4.33); its lead over vae (5.00) is not significant "
        "(p = 0.41, Welch's test, 3 seeds each)."
    )


def test_a_significant_lead_is_over_all_others() -> None:
    models = {"a": fids(1.0, 1.1, 0.9), "b": fids(8.0, 8.1, 8.2), "c": fids(9.0, 9.1, 9.3)}
    table = the_table(models)
    lead = "a has the lowest FID (1.000); its lead over b (8.100) and every other row is significant"
    assert conclusion(table).startswith(lead)
    assert "3 seeds each)" in conclusion(table)
    two = conclusion(the_table({name: models[name] for name in "ab"}))
    assert "its lead over b (8.100) is significant (p < 0.001" in two


def test_the_next_best_row_is_named_first_and_then_one_that_cannot_be_told_from_the_leader() -> None:
    models = {"a": fids(1.0, 1.1, 0.9), "b": fids(2.0, 2.1, 2.2), "c": fids(1.0, 4.0, 7.0)}
    table = the_table(models)
    said = conclusion(table)
    assert "its lead over b (2.10) is significant (p < 0.001, Welch's test, 3 seeds each)" in said
    assert said.endswith(", but its lead over c (4.00) is not (p = 0.23).")
    assert not any(entry.is_best for line in table.lines for entry in line.entries)
    close = {"a": models["a"], "b": fids(1.0, 1.2, 1.1), "c": models["c"]}
    assert "its lead over b (1.10) is not significant" in conclusion(the_table(close))
    assert "c (" not in conclusion(the_table(close))


def test_one_seed_is_no_test_and_more_seeds_are_advised() -> None:
    said = conclusion(the_table({"a": fids(1.0), "b": fids(2.0)}))
    assert said == (
        "a has the lowest FID (1.000); its lead over b (2.000) cannot be tested with one seed each: "
        "repeat with seed=0,1,2."
    )
    said = conclusion(the_table({"a": fids(1.0, 1.1), "b": fids(2.0)}))
    assert "cannot be tested, as b has one seed: repeat with seed=0,1,2" in said
    assert "significant" not in said


def test_unequal_budgets_are_said_and_rows_of_the_commonest_are_compared_in_words() -> None:
    models = {"a": fids(1.0, 1.1, budget="500 images"), "b": fids(2.0, 2.1), "c": fids(3.0, 3.1)}
    said = conclusion(the_table(models))
    assert "a has the lowest FID (1.050); its lead over b (2.050) is not tested" in said
    assert "as training budgets differ (500 images, 9 images)" in said
    assert "Of the 2 rows with 9 images, b has the lowest FID (2.050; not tested here, but by" in said
    assert said.endswith("--filter 'budget=9 images').")
    alone = filtered(runs_of(models), ["budget=9 images"])
    assert tables(alone, Query())[0].leaders  # it does test them
    models["c"] = fids(3.0)
    assert conclusion(the_table(models)).endswith("b has the lowest FID (2.050; not tested).")


def test_a_guided_leader_is_not_compared_with_unguided_rows() -> None:
    guided = fids(1.0, 1.1, guidance="classifier_free", conditional="true")
    said = conclusion(the_table({"a": guided, "b": fids(2.0, 2.1, guidance="none", conditional="false")}))
    assert "a is guided: quality at a scale of guidance does not compare with that of unguided rows" in said
    assert said.endswith("the best of which is b.")
    labelled = fids(1.0, 1.1, conditional="true")
    said = conclusion(the_table({"a": labelled, "b": fids(2.0, 2.1, conditional="false")}))
    assert "draws images of given classes, which others do not, the best of which is b." in said
    both = {"a": guided, "b": guided}
    assert "guided" not in conclusion(the_table(both))


def test_the_best_likelihood_is_sought_among_bounds_of_one_kind() -> None:
    def bits(value: float, bound: str, method: str) -> list[dict[str, object]]:
        return fids(1.0, 1.2, bits_per_dim=value, bound=bound, method=method, likelihood_n=9)

    models = {
        "exact": bits(2.0, "exact", "chain rule"),
        "vae": bits(4.0, "lower", "elbo"),
        "ddpm": bits(5.0, "lower", "vlb"),
    }
    said = conclusion(the_table(models))
    assert (
        "Of the 2 rows with an upper bound on bits/dim (≤), vae has the lowest (≤ 4.000; not tested)." in said
    )
    assert "exact has the lowest" not in said.partition("Of the")[2]


def test_a_cost_of_sampling_ten_times_as_high_is_said_and_a_smaller_one_is_not() -> None:
    slow, fast = fids(1.0, 1.1, seconds_per_image=0.05), fids(2.0, 2.1, seconds_per_image=0.001)
    said = conclusion(the_table({"slow": slow, "fast": fast}))
    assert "A sample of slow takes 50 times as long as one of fast." in said
    near = fids(2.0, 2.1, seconds_per_image=0.02)
    assert "times" not in conclusion(the_table({"slow": slow, "near": near}))


def test_a_table_without_two_rows_or_a_metric_has_none() -> None:
    assert conclusion(the_table({"a": fids(1.0, 2.0)})) == ""
    assert conclusion(the_table({"a": [{"parameters": 3}], "b": [{"parameters": 4}]})) == ""
    assert conclusion(the_table({"a": fids(1.0), "b": fids(math.nan)})) == ""


def test_a_value_that_only_some_runs_have_leads_without_a_verdict() -> None:
    models = {"a": [*fids(1.0, 1.01), {"kid": 0.1}], "b": fids(5.0, 5.1, 5.2)}
    said = conclusion(the_table(models))
    assert "its lead over b (5.10) does not count, as only some of its runs have" in said


@pytest.mark.parametrize("rows", [2, 4])
def test_of_equal_models_a_conclusion_calls_one_better_in_at_most_5_per_cent(rows: int) -> None:
    """And it says so of exactly those tables whose first metric has a value in bold."""
    rng, draws, wrong = random.Random(0), 150, 0
    for _ in range(draws):
        models = {f"m{i}": [{kind: rng.gauss(5, 1) for kind in KINDS} for _ in range(3)] for i in range(rows)}
        table = the_table(models)
        said = conclusion(table)
        is_called, is_over_next_alone = "is significant" in said, ", but its lead over" in said
        place = next(i for i, col in enumerate(table.columns) if col.better)
        is_best = any(entry.is_best for entry in table.entries[place])
        assert is_best == (is_called and not is_over_next_alone)
        assert is_called != ("is not significant" in said)
        wrong += is_called
    assert wrong < 0.05 * draws + 5 * math.sqrt(0.05 * 0.95 * draws)


def test_of_two_equal_sides_any_measure_is_called_significant_in_at_most_5_per_cent() -> None:
    rng, draws, wrong = random.Random(1), 150, 0
    for _ in range(draws):
        sides = [
            runs_of({model: [{kind: rng.gauss(5, 1) for kind in KINDS} for _ in range(3)]}) for model in "ab"
        ]
        measures = compare_sides(*sides)
        said = sides_conclusion(measures, sides)
        assert ("the difference is significant" in said) == measures[0].is_significant
        assert ("Significant at 95 %" in said) == any(x.is_significant for x in measures)
        wrong += "Significant at 95 %" in said
    assert wrong < 0.05 * draws + 5 * math.sqrt(0.05 * 0.95 * draws)


def test_two_sides_are_compared_in_words() -> None:
    good, bad = runs_of({"flow": fids(1.0, 1.2, 1.1)}), runs_of({"vae": fids(9.0, 9.1, 9.3)})
    said = sides_conclusion(compare_sides(bad, good), [bad, good])
    assert said.startswith(
        "B (flow) has the lower FID (1.10 against 9.13); the difference is significant (p < "
    )
    assert said.endswith("paired t test over 3 seeds).")
    one, other = runs_of({"flow": fids(1.0)}), runs_of({"vae": fids(2.0)})
    said = sides_conclusion(compare_sides(one, other), [one, other])
    assert said.endswith("one run of a side cannot be tested: train both with seed=0,1,2.")


def test_a_p_value_is_never_rounded_across_the_level() -> None:
    assert [p_words(p) for p in (0.2149, 0.00499, 0.0004, 1.0)] == [
        "p = 0.21",
        "p = 0.005",
        "p < 0.001",
        "p = 1",
    ]
    assert p_words(0.0501) == "p = 0.05"
    assert p_words(0.0499) == "p = 0.0499"


def test_it_stands_above_each_table_and_hostile_names_are_escaped(
    tmp_path: Path, write: Write, result: dict
) -> None:
    from genbench.report.formats.markdown import markdown
    from genbench.report.page import html

    for i, model in enumerate(("<b>|x", "vae")):
        choices = result["choices"] | {"model": model}
        write(str(i), choices=choices, metrics={NAMES["fid"]: 1.0 + i}, seed=0)
    found = compare(tmp_path, Query())
    said = "&lt;b>\\|x has the lowest FID (1.000); its lead over vae (2.000)"
    assert said in markdown(found)
    page = html(found, title="runs")
    assert '<p class="conclusion">&lt;b&gt;|x has the lowest FID' in page
