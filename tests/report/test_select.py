from collections.abc import Callable
from pathlib import Path

import pytest

from genbench.report import Runs, read
from genbench.report.select import arranged, filtered, keys, listed, measure, resolve, without_reruns

FID = "fid[digits-cnn-v1,n=359,ref=train,{}]"
Write = Callable[..., Path]


@pytest.fixture
def runs(tmp_path: Path, write: Write) -> Runs:
    for seed, (model, fid) in enumerate((("ddpm", 3.0), ("vae", 1.5), ("gan", None))):
        write(f"{model}-seed{seed}", choices={"model": model}, seed=seed, metrics={FID.format("ema"): fid})
    return read(tmp_path)


def names(runs: Runs) -> list[str]:
    return [str(row["run"]).partition("-")[0] for row in runs.rows]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["model=ddpm"], ["ddpm"]),
        (["model=gan,vae"], ["gan", "vae"]),
        (["model!=vae"], ["ddpm", "gan"]),
        (["run=*seed1"], ["vae"]),
        (["seed=1.0"], ["vae"]),
        (["seed>=1", "seed<2"], ["vae"]),
        (["fid<=3"], ["ddpm", "vae"]),
        (["fid=n/a"], ["gan"]),
        ([f"{FID.format('ema')}>2"], ["ddpm"]),
        ([], ["ddpm", "gan", "vae"]),
    ],
)
def test_filters_keep_the_runs_that_meet_all_of_them(
    runs: Runs, conditions: list[str], expected: list[str]
) -> None:
    assert names(filtered(runs, conditions)) == expected


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("model", "KEY=VALUE"),
        ("modle=vae", "'modle' is no column of these runs; near are model, method; `genbench report"),
        ("model=dpm", "no run is left; model is ddpm, gan, vae"),
        ("seed<x", "'x' is no number"),
    ],
)
def test_a_filter_that_cannot_be_says_what_there_is(runs: Runs, condition: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        filtered(runs, [condition])


def test_a_column_goes_by_its_name_its_title_or_its_kind(tmp_path: Path, write: Write) -> None:
    write("a")
    runs = read(tmp_path)
    assert resolve(runs, "fid") == [FID.format("ema")]
    assert resolve(runs, FID.format("raw")) == [FID.format("raw")]
    assert resolve(runs, "bits/dim") == ["bits_per_dim"]
    assert resolve(runs, "passes") == resolve(runs, "passes_per_sample") == ["passes_per_sample"]


def test_commas_inside_a_metrics_name_do_not_part_a_list() -> None:
    assert listed(f"fid, {FID.format('ema')},run") == ["fid", FID.format("ema"), "run"]


def test_runs_are_sorted_best_first_and_what_is_missing_comes_last(runs: Runs) -> None:
    assert names(arranged(runs, "fid")) == ["vae", "ddpm", "gan"]
    assert names(arranged(runs, "-fid")) == ["ddpm", "vae", "gan"]
    assert names(arranged(runs, "-model")) == ["vae", "gan", "ddpm"]


def test_of_reruns_the_last_one_counts(tmp_path: Path, write: Write) -> None:
    for name in ("a", "a-2", "a-10"):
        write(name, identity="same")
    write("b")
    kept, replaced = without_reruns(read(tmp_path))
    assert [row["run"] for row in kept.rows] == ["a-10", "b"]
    assert replaced == ["a", "a-2"]


def test_precision_is_the_metric_where_a_measure_is_meant_and_the_choice_elsewhere(
    tmp_path: Path, write: Write, result: dict
) -> None:
    name = "precision[digits-cnn-v1,n=359,k=5,ref=train,ema]"
    write("a", choices=result["choices"] | {"precision": "bf16"}, metrics={name: 0.5})
    runs = read(tmp_path)
    assert measure(runs, "precision") == [name]
    assert resolve(runs, "precision") == ["precision"]
    assert names(filtered(runs, ["precision=bf16"])) == ["a"]


def test_keys_are_all_that_can_be_asked_for_with_their_values(runs: Runs) -> None:
    lines = dict(line.split(maxsplit=1) for line in keys(runs).splitlines())
    assert lines["model"] == "ddpm, gan, vae"
    assert lines["fid"] == "1.5, 3.0, n/a"
    for name in lines:
        assert resolve(runs, name)


def test_a_misspelt_column_is_met_with_those_near_it_alone(runs: Runs) -> None:
    with pytest.raises(ValueError, match="near are images_seen") as refused:
        resolve(runs, "image_seen")
    assert "training_seconds" not in str(refused.value)
    with pytest.raises(
        ValueError, match="no column of these runs; `genbench report RUNS_DIR --keys` lists all"
    ):
        resolve(runs, "zzzzzz")
