import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from genbench.records.result import Cost, Likelihood, Result
from genbench.report import print_result
from genbench.report.formats.one_result import bits, few_samples, training

FID = "fid[digits-cnn-v1,n=359,ref=train,{}]"


def printed(result: dict, width: int = 140, **changes: object) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_result(Result.of(result | changes), console)
    return console.file.getvalue()


def line(text: str, start: str) -> list[str]:
    (found,) = [line for line in text.splitlines() if line.startswith(start)]
    return re.split(r" {2,}", found.strip())


def test_ema_raw_and_held_out_images_stand_side_by_side_below_what_they_share(result: dict) -> None:
    text = printed(result)
    assert line(text, "metric") == ["metric", "EMA", "raw", "held-out"]
    assert line(text, "fid") == ["fid", "3.142", "12", "1.25"]
    assert line(text, "quality") == ["quality: digits-cnn-v1, n=359, against ref=train"]


def test_two_protocols_have_two_tables(result: dict) -> None:
    text = printed(result, metrics={"fid[a,n=9,ref=train,ema]": 1.0, "fid[b,n=9,ref=train,ema]": 2.0})
    assert [line(text, f"quality: {name}")[0] for name in "ab"] == [
        f"quality: {name}, n=9, against ref=train" for name in "ab"
    ]
    assert text.index("quality: b") > text.index("quality: a")


def test_a_spread_stands_behind_its_mean_and_what_was_not_measured_is_a_dash(result: dict) -> None:
    assert line(printed(result), "is ") == ["is", "2.500 ± 0.050", "–", "–"]


def test_the_training_split_comes_first_and_held_out_images_are_not_compared_with_themselves(
    result: dict,
) -> None:
    of = ("ema", "raw", "test")
    metrics = {f"fid[f,n=9,ref=train,{each}]": 1.0 + number for number, each in enumerate(of)}
    metrics |= {f"fid[f,n=9,ref=test,{each}]": 5.0 for each in of[:2]} | {"is[f,n=9,ema]": 2.0}
    text = printed(result, metrics=metrics)
    assert line(text, "metric") == ["metric", "EMA", "raw", "held-out", "EMA, ref=test"]
    assert line(text, "fid") == ["fid", "1", "2", "3", "5"]
    assert line(text, "is") == ["is", "2", "–", "–"]
    assert "ref=train" in line(text, "quality")[0]


def test_an_interval_over_samples_stands_behind_its_value_and_single_classes_are_left_out(
    result: dict,
) -> None:
    end = "[f,n=9,ref=train,ema]"
    metrics = {f"kid{part}{end}": value for part, value in (("", 2.0), ("_low", 1.5), ("_high", 2.25))}
    metrics |= {f"kid_se{end}": 0.2, f"kid_std{end}": 0.5, "fid_class[f,n=4,class=1,ref=train,ema]": 3.0}
    text = printed(result, metrics=metrics)
    assert line(text, "kid") == ["kid", "2.00 [1.50, 2.25]"]
    assert not any(word in text for word in ("kid_", "class=1"))


@pytest.mark.parametrize(("width", "intervals"), [(62, 0), (80, 2), (120, 8)])
def test_nothing_is_broken_within_a_word_or_a_number_and_all_fits_on_a_screen(
    result: dict, width: int, intervals: int
) -> None:
    metrics = {}
    for of, ref in (("ema", "train"), ("raw", "train"), ("test", "train"), ("ema", "test")):
        for kind, rest in (("kid", "subsets=100x359"), ("precision", "k=5")):
            for part, value in (("", 0.5), ("_low", 0.125), ("_high", 0.875)):
                metrics[f"{kind}{part}[digits-cnn-v1,n=359,{rest},ref={ref},{of}]"] = value
    text = printed(result, width, metrics=metrics)
    assert max(map(len, text.splitlines())) <= width
    assert len(text.splitlines()) <= 24
    for word in ("digits-cnn-v1, n=359", "kid subsets=100x359", "precision k=5", "EMA, ref=test"):
        assert word in text
    assert text.count("[0.12, 0.88]") == intervals
    assert "…" not in text


def test_what_was_not_measured_is_a_dash_and_what_does_not_exist_is_not(result: dict) -> None:
    nothing = {"bits_per_dim": None, "bound": "lower", "method": "elbo", "n": 0}
    text = printed(result, metrics={}, likelihood=nothing, reconstruction={"mse": None, "n": 0})
    starts = ("scores", "bits/dim", "reconstruction MSE")
    assert [line(text, start)[1] for start in starts] == ["–"] * 3
    none = {"bits_per_dim": None, "bound": None, "method": None, "n": None}
    text = printed(result, likelihood=none, reconstruction={"mse": None, "n": None})
    assert [line(text, start)[1] for start in starts[1:]] == ["n/a"] * 2


def test_costs_have_units_and_pixels_are_clipped(result: dict) -> None:
    cost = {
        "device": "cpu (1 threads)",
        "parameters": 190_369,
        "images_seen": 60_032,
        "training_flops": 1.48e12,
        "training_seconds": 92.4,
        "images_per_second": 649.7,
        "passes_per_sample": 50.0,
        "flops_per_sample": 6.2e6,
        "seconds_per_image": 0.00968,
        "out_of_range": 0.0706,
        "peak_memory_bytes": 1_030_000_000,
    }
    text = printed(result, cost=cost)
    assert "60,032 images in 92.4 s (650 images/s), 1.48 TFLOP" in text
    assert "50 network evaluations (NFE), 9.68 ms, 6.2 MFLOP a sample" in text
    assert "share of pixels clipped 7.06 %" in text
    assert "190,369 parameters, 1.03 GB of memory on cpu (1 thread)" in text
    free = printed(result, cost={**cost, "training_seconds": None, "seconds_per_image": None})
    assert line(free, "training") == ["training", "n/a"]
    assert line(free, "sampling") == ["sampling", "–"]


def test_the_first_line_names_model_and_data_and_what_was_typed_comes_before_the_options(
    result: dict,
) -> None:
    choices = {"tracker": "jsonl", "model": "ddpm", "data": "digits", "conditional": "true", "loss": "l1"}
    console = Console(file=io.StringIO(), width=140)
    words = ["model=ddpm", "loss=l1", "sampler.steps=20"]
    config = {"guidance": {"_target_": "genbench.guidance.ClassifierFree", "scale": 2.0}}
    guided = result | {"choices": choices | {"guidance": "classifier_free"}, "config": config}
    print_result(Result.of(guided), console, words)
    first, second, third, *_ = console.file.getvalue().splitlines()
    assert first.startswith("ddpm on digits, guided (classifier_free 2), seed 1: ")
    assert second.split() == ["set", "loss=l1,", "sampler.steps=20"]
    assert third.split()[0] == "options"
    assert "loss" not in third


@pytest.mark.parametrize(
    ("likelihood", "expected"),
    [
        ({"bits_per_dim": 3.5, "bound": "lower", "method": "elbo"}, "3.5 (upper bound on bits/dim: elbo)"),
        ({"bits_per_dim": None, "bound": None, "method": None}, "n/a"),
        (
            {"bits_per_dim": 3.5, "bound": "exact", "method": "uniform dequantization"},
            "3.5 (upper bound on bits/dim: one draw of uniform dequantization)",
        ),
        (
            {"bits_per_dim": 3.5, "bound": "estimate", "method": "ode", "solver_error_bits": -0.0049},
            "3.5 (estimate: ode); finer steps would change it by -0.0049",
        ),
        (
            {"bits_per_dim": 3.5, "bound": "estimate", "method": "ode", "solver_error_bits": 0.06},
            "3.5 (estimate: ode); finer steps would change it by +0.0600: not converged",
        ),
    ],
)
def test_bits_per_dimension_come_with_their_bound(result: dict, likelihood: dict, expected: str) -> None:
    assert line(printed(result, likelihood=likelihood), "bits/dim")[1] == expected


def test_axes_and_cost_are_shown_and_brackets_are_not_taken_for_markup(result: dict) -> None:
    text = printed(
        result, run="[red]x[/red]", metrics={FID.format("ema"): "nan"}, choices={"model": "[bold]m"}
    )
    assert text.startswith("[bold]m on unknown data, seed 1: digits/[red]x[/red]")
    assert "1,234,567 parameters" in text
    assert line(text, "fid")[1] == "nan"


def test_a_frechet_distance_of_few_samples_is_called_biased_once() -> None:
    few = {f"fid[digits-cnn-v1,n=639,ref={ref},ema]": 1.0 for ref in ("train", "test")}
    (line,) = few_samples(few)
    assert line.startswith("Biased: n=639 is below 10 x 64 features")
    assert few_samples({"fid[digits-cnn-v1,n=640,ref=train,ema]": 1.0}) == []


def test_a_run_that_began_with_another_one_shows_its_own_seconds_and_those_of_the_other() -> None:
    cost = Cost(images_seen=320, training_seconds=9.0, images_per_second=80.64)
    later = replace(cost, start_images=640, start_seconds=5.04)
    assert training(later).startswith(
        "320 images in 3.96 s (80.64 images/s), after 640 images in 5.04 s of the run that it started from"
    )


def test_bits_per_dimension_say_of_how_many_images() -> None:
    found = Likelihood(bits_per_dim=7.411, bound="lower", method="elbo", n=20)
    assert bits(found) == "7.411 (upper bound on bits/dim: elbo, 20 test images)"
