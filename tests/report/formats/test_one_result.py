import io

import pytest
from rich.console import Console

from genbench.records.result import Result
from genbench.report import print_result

FID = "fid[digits-cnn-v1,n=359,ref=train,{}]"


def printed(result: dict, width: int = 140, **changes: object) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_result(Result.of(result | changes), console)
    return console.file.getvalue()


def line(text: str, start: str) -> list[str]:
    (found,) = [line for line in text.splitlines() if start in line]
    return [cell.strip() for cell in found.strip("│┃").replace("┃", "│").split("│")]


def test_ema_raw_and_real_test_images_stand_side_by_side_below_what_they_share(result: dict) -> None:
    text = printed(result)
    assert line(text, "held-out test") == ["metric", "EMA", "raw", "held-out test"]
    assert line(text, "fid ref") == ["fid ref=train", "3.142", "12", "1.25"]
    assert line(text, "quality") == ["quality: digits-cnn-v1, n=359"]


def test_two_protocols_have_two_tables(result: dict) -> None:
    text = printed(result, metrics={"fid[a,n=9,ref=train,ema]": 1.0, "fid[b,n=9,ref=train,ema]": 2.0})
    assert [line(text, f"quality: {name}")[0][-6:] for name in "ab"] == ["a, n=9", "b, n=9"]
    assert text.index("b, n=9") > text.index("fid ref=train")


def test_a_spread_stands_behind_its_mean_and_what_is_missing_says_so(result: dict) -> None:
    assert line(printed(result), "is  ") == ["is", "2.500 ± 0.050", "n/a", "n/a"]


def test_an_interval_over_samples_stands_behind_its_value_and_single_classes_are_left_out(
    result: dict,
) -> None:
    end = "[f,n=9,ref=train,ema]"
    metrics = {f"kid{part}{end}": value for part, value in (("", 2.0), ("_low", 1.5), ("_high", 2.25))}
    metrics |= {f"kid_se{end}": 0.2, f"kid_std{end}": 0.5, "fid_class[f,n=4,class=1,ref=train,ema]": 3.0}
    text = printed(result, metrics=metrics)
    assert line(text, "kid ") == ["kid ref=train", "2.00 [1.50, 2.25]"]
    assert not any(word in text for word in ("kid_", "class=1"))


@pytest.mark.parametrize("width", [80, 120])
def test_no_metric_is_broken_within_a_word_or_a_number(result: dict, width: int) -> None:
    metrics = {}
    for of in ("ema", "raw", "test"):
        for kind, rest in (("kid", "subsets=100x359,ref=train"), ("precision", "k=5,ref=train")):
            for part, value in (("", 0.5), ("_low", 0.125), ("_high", 0.875)):
                metrics[f"{kind}{part}[digits-cnn-v1,n=359,{rest},{of}]"] = value
    text = printed(result, width, metrics=metrics)
    assert max(map(len, text.splitlines())) <= width
    for word in ("digits-cnn-v1, n=359", "subsets=100x359,", "ref=train", "precision"):
        assert word in text
    assert text.count("[0.12, 0.88]") == 6


def test_what_was_not_measured_says_so(result: dict) -> None:
    nothing = {"bits_per_dim": None, "bound": "lower", "method": "elbo", "n": 0}
    text = printed(result, metrics={}, likelihood=nothing, reconstruction={"mse": None, "n": 0})
    assert [line(text, start)[1] for start in ("scores", "bits/dim", "MSE")] == ["not measured"] * 3


@pytest.mark.parametrize(
    ("likelihood", "expected"),
    [
        ({"bits_per_dim": 3.5, "bound": "lower", "method": "elbo"}, "3.5 (lower, elbo)"),
        ({"bits_per_dim": None, "bound": None, "method": None}, "n/a"),
        (
            {"bits_per_dim": 3.5, "bound": "exact", "method": "uniform dequantization"},
            "3.5 (lower, one draw of uniform dequantization)",
        ),
        (
            {"bits_per_dim": 3.5, "bound": "estimate", "method": "ode", "solver_error_bits": -0.0049},
            "3.5 (estimate, ode); finer steps would change it by -0.0049",
        ),
        (
            {"bits_per_dim": 3.5, "bound": "estimate", "method": "ode", "solver_error_bits": 0.06},
            "3.5 (estimate, ode); finer steps would change it by +0.0600: not converged",
        ),
    ],
)
def test_bits_per_dimension_come_with_their_bound(result: dict, likelihood: dict, expected: str) -> None:
    assert line(printed(result, likelihood=likelihood), "bits/dim")[1] == expected


def test_axes_and_cost_are_shown_and_brackets_are_not_taken_for_markup(result: dict) -> None:
    text = printed(
        result, run="[red]x[/red]", metrics={FID.format("ema"): "nan"}, choices={"model": "[bold]m"}
    )
    assert "digits/[red]x[/red]" in text
    assert line(text, "model")[1] == "[bold]m"
    assert line(text, "parameters")[1] == "1,234,567"
    assert line(text, "seed")[1] == "1"
    assert line(text, "fid ref")[1] == "nan"
