"""The accuracy of the network behind the scores stands in every format, and marks distances on a weak one."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from genbench.records.feature_network import FeatureNetwork, to_record
from genbench.records.result import Result
from genbench.report import Query, load, print_quality, print_result
from genbench.report.compare import compare
from genbench.report.footnotes import notes
from genbench.report.formats.data import csv_text, json_text
from genbench.report.formats.latex import latex
from genbench.report.formats.markdown import markdown
from genbench.report.formats.terminal import print_comparison
from genbench.report.page.write import html
from genbench.report.two_sided import compare_sides, read_sides, sides_table

Write = Callable[..., Path]
PROTOCOL = "digits-cnn-v1"
GOOD = FeatureNetwork("classifier", "digits", 1438, 10, 0.994, 0.98, 0.998, "digits, test", 359)
WEAK = FeatureNetwork("classifier", "digits", 64, 10, 0.223, 0.183, 0.269, "digits, test", 359)


def record(network: FeatureNetwork) -> dict[str, Any]:
    return to_record({PROTOCOL: network})


def one_line(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


def wide() -> Console:
    return Console(file=io.StringIO(), width=2000)


def all_formats(folder: Path) -> list[str]:
    """The comparison of a folder as every format for readers writes it."""
    found, console = compare(folder, Query()), wide()
    print_comparison(found, console)
    return [markdown(found), latex(found), one_line(console), html(found, title="t")]


def test_every_format_states_the_accuracy_the_training_set_and_its_size(tmp_path: Path, write: Write) -> None:
    write("a", feature_networks=record(GOOD))
    for text in all_formats(tmp_path):
        plain = text.replace("\\", "").replace("{", "").replace("}", "")
        assert "trained on 1,438 images of digits (train)" in plain
        assert "99.4 % [98.0, 99.8] on 359 held-out images" in plain
        assert "†" not in text
        assert "$\\dag$" not in text


def test_every_format_marks_the_scores_of_a_weak_network_and_says_why_and_what_helps(
    tmp_path: Path, write: Write
) -> None:
    write("a", feature_networks=record(WEAK))
    for text in all_formats(tmp_path):
        plain = text.replace("\\", "").replace("$dag$", "†").replace("{", "").replace("}", "")
        assert "† 3.142" in plain
        assert "† 3.5" not in plain  # bits/dim need no features
        assert "†: weak features: their classifier finds the class of 22.3 % of held-out images" in plain
        assert "features.images=N" in plain


def test_a_better_row_of_a_weak_network_is_marked_too(tmp_path: Path, write: Write) -> None:
    fid = f"fid[{PROTOCOL},n=359,ref=train,ema]"
    for model, values in (("a", (1.0, 1.01, 0.99)), ("b", (9.0, 9.01, 8.99))):
        for seed, value in enumerate(values):
            write(
                f"{model}{seed}",
                seed=seed,
                metrics={fid: value},
                choices={"model": model, "data": "digits"},
                feature_networks=record(WEAK),
            )
    assert "**† 1.00" in markdown(compare(tmp_path, Query()))


def test_results_of_an_earlier_version_say_that_the_accuracy_is_not_known(
    tmp_path: Path, write: Write
) -> None:
    write("a")
    (table,) = compare(tmp_path, Query()).tables
    assert [note for note in notes(table) if "accuracy" in note] == [
        f"{PROTOCOL}: accuracy of the feature network n/a (recorded by an earlier version)."
    ]
    assert not any(col.is_weak for col in table.columns)


def test_scores_of_a_known_distribution_have_no_network_to_be_said(tmp_path: Path, write: Write) -> None:
    write("a", metrics={"modes[law-93ce34b3,n=1000,ema]": 0.5, "fid[pixels-93ce34b3,n=9,ref=train,ema]": 1.0})
    (table,) = compare(tmp_path, Query()).tables
    assert not [note for note in notes(table) if "accuracy" in note]


def test_an_evaluation_brings_the_network_of_its_scores(
    tmp_path: Path, write: Write, evaluated: Callable[..., None]
) -> None:
    path = write("a", feature_networks=record(GOOD))
    other = {"metrics": {"fid[other,n=9,ref=train,ema]": 7.0}, "feature_networks": to_record({"other": WEAK})}
    evaluated(path, other, other | {"feature_networks": {"other": {"kind": 3}}})
    found = compare(tmp_path, Query())
    text = markdown(found)
    assert "† 7" in text
    assert "† 3.142" not in text
    assert found.runs.passed_over == {"a": "evaluations.jsonl, line 2"}


def test_a_damaged_record_of_a_network_costs_its_run_alone(tmp_path: Path, write: Write) -> None:
    write("good")
    write("bad", feature_networks={PROTOCOL: {"kind": "classifier", "accuracy": 7}})
    with pytest.warns(UserWarning, match=r"bad is .*accuracy of a feature network is 7"):
        assert list(load(tmp_path)["run"]) == ["good"]


def test_csv_and_json_hold_the_accuracy_with_all_digits(tmp_path: Path, write: Write) -> None:
    write("a", feature_networks=record(GOOD))
    for query in (Query(), Query(by=["model"])):
        found = compare(tmp_path, query)
        (line,) = json.loads(json_text(found))
        assert line[f"{PROTOCOL} accuracy"] == 0.994
        assert line[f"{PROTOCOL} training_images"] == 1438
        assert f"{PROTOCOL} accuracy_low" in csv_text(found).splitlines()[0]


def test_a_result_and_an_evaluation_on_the_terminal_state_it_and_mark_what_is_weak(
    result: dict[str, Any],
) -> None:
    printed = []
    for network in (GOOD, WEAK):
        for show in (print_result, print_quality):
            content, console = result | {"feature_networks": record(network)}, wide()
            show(Result.of(content) if show is print_result else content, console)
            printed.append(one_line(console))
    for text in printed[:2]:
        assert "accuracy 99.4 % [98.0, 99.8] on 359 held-out images" in text
        assert "†" not in text
    for text in printed[2:]:
        assert "† 3.142" in text
        assert "† n/a" not in text
        assert "† weak features" in text
        assert "features.images=N" in text


def test_a_comparison_of_two_sides_states_it_and_marks_what_is_weak(tmp_path: Path, write: Write) -> None:
    for seed in (0, 1):
        write(f"a/{seed}", seed=seed, feature_networks=record(WEAK))
        write(f"b/{seed}", seed=seed, feature_networks=record(WEAK))
    sides, console = read_sides(tmp_path / "a", tmp_path / "b"), wide()
    console.print(sides_table(compare_sides(*sides), ["a", "b"], sides))
    text = one_line(console)
    assert "│ † 3.142 │ † 3.142 │" in text
    assert "│ 3.500 │ 3.500 │" in text
    assert f"{PROTOCOL}: features of a classifier trained on 64 images" in text
    assert text.count("† weak features") == 1
