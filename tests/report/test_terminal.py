import io

import pytest
from rich.console import Console

from genbench.report import print_result

FID = "fid[digits-cnn-v1,n=359,ref=train,{}]"


def printed(result: dict, **changes: object) -> str:
    console = Console(file=io.StringIO(), width=140)
    print_result(result | changes, console)
    return console.file.getvalue()


def line(text: str, start: str) -> list[str]:
    (found,) = [line for line in text.splitlines() if start in line]
    return [cell.strip() for cell in found.strip("│┃").replace("┃", "│").split("│")]


def test_ema_raw_and_real_test_images_stand_side_by_side(result: dict) -> None:
    text = printed(result)
    assert line(text, "held-out test") == ["metric", "EMA", "raw", "held-out test"]
    assert line(text, "fid[") == ["fid[digits-cnn-v1,n=359,ref=train]", "3.142", "12", "1.25"]


def test_a_spread_stands_behind_its_mean_and_what_is_missing_says_so(result: dict) -> None:
    assert line(printed(result), "is[") == ["is[digits-cnn-v1,n=359]", "2.5 ± 0.05", "n/a", "n/a"]


def test_an_interval_over_samples_stands_behind_its_value_and_single_classes_are_left_out(
    result: dict,
) -> None:
    end = "[f,n=9,ref=train,ema]"
    metrics = {f"kid{part}{end}": value for part, value in (("", 2.0), ("_low", 1.5), ("_high", 2.25))}
    metrics |= {f"kid_se{end}": 0.2, f"kid_std{end}": 0.5, "fid_class[f,n=4,class=1,ref=train,ema]": 3.0}
    text = printed(result, metrics=metrics)
    assert line(text, "kid[") == ["kid[f,n=9,ref=train]", "2 [1.5, 2.25]"]
    assert not any(word in text for word in ("kid_", "class=1"))


def test_what_was_not_measured_says_so(result: dict) -> None:
    nothing = {"bits_per_dim": None, "bound": "lower", "method": "elbo", "n": 0}
    text = printed(result, metrics={}, likelihood=nothing, reconstruction={"mse": None, "n": 0})
    assert [line(text, start)[1] for start in ("scores", "bits/dim", "MSE")] == ["not measured"] * 3


@pytest.mark.parametrize(
    ("likelihood", "expected"),
    [
        ({"bits_per_dim": 3.5, "bound": "lower", "method": "elbo"}, "3.5 (lower, elbo)"),
        ({"bits_per_dim": None, "bound": None, "method": None}, "n/a"),
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
    assert line(text, "fid[")[1] == "nan"
