import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from genbench.report import Query
from genbench.report.compare import compare
from genbench.report.formats.data import json_text
from genbench.report.query import filtered, keys, listed, measure, resolve
from genbench.report.runs import Runs, read, without_reruns

FID = "fid[digits-cnn-v1,n=359,ref=train,{}]"
Write = Callable[..., Path]


@pytest.fixture
def runs(tmp_path: Path, write: Write) -> Runs:
    for seed, (model, fid) in enumerate((("ddpm", 3.0), ("vae", 1.5), ("gan", None))):
        write(f"{model}-seed{seed}", choices={"model": model}, seed=seed, metrics={FID.format("ema"): fid})
    return read(tmp_path)


def names(runs: Runs) -> list[str]:
    return [str(run).partition("-")[0] for run in runs.frame["run"]]


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
        ("modle=vae", r"'modle' is no column of these runs; did you mean model\? `genbench report"),
        ("model=dpm", "no run is left; model is ddpm, gan, vae"),
        ("seed<x", "'x' is not a number"),
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


@pytest.mark.parametrize(
    ("sort", "expected"),
    [("fid", ["vae", "ddpm", "gan"]), ("-fid", ["ddpm", "vae", "gan"]), ("-model", ["vae", "gan", "ddpm"])],
)
def test_runs_are_sorted_best_first_and_what_is_missing_comes_last(
    tmp_path: Path, runs: Runs, sort: str, expected: list[str]
) -> None:
    assert len(runs.frame) == 3
    records = json.loads(json_text(compare(tmp_path, Query(sort=sort))))
    assert [record["model"] for record in records] == expected


def test_of_reruns_the_last_one_counts(tmp_path: Path, write: Write) -> None:
    for name in ("a", "a-2", "a-10"):
        write(name, identity="same")
    write("b")
    kept, replaced = without_reruns(read(tmp_path))
    assert list(kept.frame["run"]) == ["a-10", "b"]
    assert replaced == {"a": "a-10", "a-2": "a-10"}


def test_runs_that_took_the_same_precision_are_one_whoever_chose_it(
    tmp_path: Path, write: Write, result: dict
) -> None:
    """The same numbers, bit for bit: as two seeds they would make a mean look surer than it is."""
    for name, option, taken in (("a", "auto", "fp32"), ("b", "fp32", "fp32"), ("c", "auto", "bf16")):
        config = {"data": {"name": "digits"}, "precision": {"_target_": option}}
        write(name, config=config, choices=result["choices"] | {"precision": taken})
    kept, replaced = without_reruns(read(tmp_path))
    assert list(kept.frame["run"]) == ["b", "c"]
    assert replaced == {"a": "b"}


def test_runs_of_two_names_are_one_unless_rows_tell_names_apart(tmp_path: Path, write: Write) -> None:
    for name in ("x/a", "x/a-2", "y/a"):
        write(name, identity="same", group=name[0])
    runs = read(tmp_path)
    assert without_reruns(runs)[1] == {"x/a": "y/a", "x/a-2": "y/a"}
    assert without_reruns(runs, resolve(runs, "name"))[1] == {"x/a": "x/a-2"}
    assert without_reruns(runs, ["run"])[1] == {}


def test_in_equal_seconds_another_number_of_devices_makes_another_run(
    tmp_path: Path, write: Write, result: dict
) -> None:
    for limits, kept in (({"images": 9}, ["a-2"]), ({"seconds": 9}, ["a", "a-2"])):
        for name, device in (("a", "cpu"), ("a-2", "8 x cpu")):
            cost = result["cost"] | {"device": device}
            write(name, identity="same", cost=cost, config={"budget": limits})
        assert list(without_reruns(read(tmp_path))[0].frame["run"]) == kept


def test_precision_is_the_metric_where_a_measure_is_meant_and_the_choice_elsewhere(
    tmp_path: Path, write: Write, result: dict
) -> None:
    name = "precision[digits-cnn-v1,n=359,k=5,ref=train,ema]"
    write("a", choices=result["choices"] | {"precision": "bf16"}, metrics={name: 0.5})
    runs = read(tmp_path)
    assert measure(runs, "precision") == [name]
    assert resolve(runs, "precision") == ["precision"]
    for condition in ("precision=bf16", "precision>0.4", "precision=0.5", "precision!=0.4"):
        assert names(filtered(runs, [condition])) == ["a"]


def test_a_word_that_is_an_option_and_a_score_has_two_names_and_is_answered_with_both(
    tmp_path: Path, write: Write, result: dict
) -> None:
    name = "precision[digits-cnn-v1,n=359,k=5,ref=train,ema]"
    choices = result["choices"] | {"precision": "bf16", "density": "bound"}
    write("a", choices=choices, metrics={name: 0.5, name.replace("precision", "density"): 0.75})
    runs = read(tmp_path)
    assert resolve(runs, "precision_score") == resolve(runs, "precision (k-NN)") == [name]
    assert resolve(runs, "precision_option") == resolve(runs, "precision (option)") == ["precision"]
    listed_keys = dict(line.split(maxsplit=1) for line in keys(runs, every=True).splitlines())
    assert listed_keys["precision_option"] == "bf16"
    assert listed_keys["precision_score"] == "0.5"
    assert listed_keys["density_score"] == "0.75"
    assert "precision" not in listed_keys
    with pytest.raises(ValueError, match=r"precision_option is bf16, precision_score is 0\.5"):
        filtered(runs, ["precision=fp16"])
    found = compare(tmp_path, Query(by=["precision"], columns=["precision", "density_score"]))
    assert [col.title for col in found.tables[0].columns] == [
        "precision (option)",
        "precision (k-NN)",
        "density (k-NN)",
    ]
    assert found.beginning == [
        "--by precision: this word has two meanings and is taken as precision_option; the other one is "
        "precision_score.",
        "--columns precision: this word has two meanings and is taken as precision_score; the other one is "
        "precision_option.",
    ]
    assert compare(tmp_path, Query(columns=["precision_score"])).beginning == []


def test_keys_are_all_that_can_be_asked_for_with_their_values(runs: Runs) -> None:
    lines = dict(line.split(maxsplit=1) for line in keys(runs, every=True).splitlines())
    assert lines["model"] == "ddpm, gan, vae"
    assert lines["fid"] == "1.5, 3, n/a"
    assert lines["status"] == "done"
    for name in lines:
        assert resolve(runs, name)


def test_of_keys_those_in_which_no_two_runs_differ_are_counted(tmp_path: Path, write: Write) -> None:
    for seed, (model, extra) in enumerate((("vae", {"beta": 1, "free": None}), ("gan", {}), ("gan", {}))):
        write(f"{seed}", choices={"model": model, "data": "digits"}, seed=seed, config={"model": extra})
    *lines, rest = keys(read(tmp_path)).splitlines()
    names = [line.split()[0] for line in lines]
    assert {"run", "seed", "model", "bits_per_dim", "passes_per_sample"} <= {*names}
    assert not {"data", "model.beta", "model.free", "identity", "status", "budget"} & {*names}
    assert rest == "8 more, in which these runs do not differ: --keys --all"


def test_many_values_are_told_in_one_line(tmp_path: Path, write: Write) -> None:
    for i in range(40):
        metrics = {FID.format("ema"): i / 7}
        write(f"a-rather-long-name-of-a-run-{i:02d}", seed=i, metrics=metrics)
    lines = keys(read(tmp_path)).splitlines()
    assert max(map(len, lines)) < 120
    told = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines}
    assert told["fid"] == "0 to 5.571"
    assert told["run"].endswith(".. (40 values)")


def test_a_value_with_a_comma_can_be_filtered(tmp_path: Path, write: Write) -> None:
    for images in (60000, 90000):
        write(f"a{images}", config={"budget": {"images": images}})
    runs = read(tmp_path)
    assert names(filtered(runs, ["budget=60,000 images"])) == ["a60000"]
    assert names(filtered(runs, ["budget!=60,000*"])) == ["a90000"]


def test_a_title_of_a_metric_is_a_name_of_it(tmp_path: Path, write: Write) -> None:
    name = "fd_exact[law,n=9,ema]"
    write("a", metrics={name: 1.0})
    assert resolve(read(tmp_path), "exact FD") == [name]


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("image_seen", "did you mean images_seen?"),
        ("fdi", "did you mean fid?"),
        ("lr", "did you mean optim.lr?"),
        ("zzzzzz", "no column of these runs; `genbench report RUNS --keys` lists them"),
    ],
)
def test_a_misspelt_column_is_met_with_those_near_it_alone(
    tmp_path: Path, write: Write, word: str, says: str
) -> None:
    for lr in (0.1, 0.2):
        write(f"a{lr}", config={"optim": {"lr": lr}})
    with pytest.raises(ValueError, match=re.escape(says)):
        resolve(read(tmp_path), word)


def test_a_filter_on_a_measure_that_splits_a_configuration_is_told(tmp_path: Path, write: Write) -> None:
    for loss, fids in (("l1", (1.0, 5.0, 2.0)), ("l2", (2.0, 2.5, 2.2))):
        for seed, fid in enumerate(fids):
            choices = {"model": "ddpm", "loss": loss}
            write(f"{loss}-{seed}", seed=seed, choices=choices, metrics={FID.format("ema"): fid})

    def told(*conditions: str) -> list[str]:
        return compare(tmp_path, Query(), conditions=conditions).beginning

    (warning,) = told("fid<3")
    assert warning.startswith("--filter fid<3 leaves 2 of 3 runs of a configuration: means over runs chosen")
    assert told("fid<10") == told("loss=l2") == told("seed=0,1") == told("loss=l2", "fid<3") == []
