"""A guided or conditional run never looks unconditional, whatever way a comparison leaves by."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from genbench.records.result import Result
from genbench.records.sweep_ledger import Outcome, outcome_table
from genbench.report import Query
from genbench.report.compare import Comparison, compare
from genbench.report.formats.data import csv_text, json_text
from genbench.report.formats.latex import latex
from genbench.report.formats.markdown import markdown
from genbench.report.formats.model_card import model_card
from genbench.report.formats.terminal import print_comparison
from genbench.report.page import html
from genbench.report.query import filtered
from genbench.report.runs import read
from genbench.report.two_sided import compare_sides, read_sides, sides_table
from genbench.tracking.options import tags

Write = Callable[..., Path]
GUIDED = "guided (classifier_free 2)"
WAYS = {
    "unconditional": ("false", "none", {}),
    "conditional": ("true", "none", {}),
    GUIDED: ("true", "classifier_free", {"scale": 2.0}),
    "guided (classifier_free 4)": ("true", "classifier_free", {"scale": 4.0}),
}


@pytest.fixture
def sow(write: Write, result: dict) -> Callable[..., None]:
    """Writes a run of each model, conditioned in one of WAYS: sow(vae="unconditional")."""

    def sow_runs(*pairs: tuple[str, str], seed: int = 0) -> None:
        for model, way in pairs:
            conditional, guidance, node = WAYS[way]
            choices = {"model": model, "conditional": conditional, "guidance": guidance}
            config = {"budget": {"images": 600}, "guidance": node, "conditional": conditional == "true"}
            metrics = {"fid[f,n=9,ref=train,ema]": 1.5}
            write(
                f"{model}-{way.partition(' ')[0]}-{node.get('scale', 0):.0f}-{seed}",
                choices=result["choices"] | choices,
                config=config,
                metrics=metrics,
                seed=seed,
            )

    return sow_runs


def in_terminal(found: Comparison) -> str:
    console = Console(file=io.StringIO(), width=80)
    print_comparison(found, console)
    return console.file.getvalue()


def as_page(found: Comparison) -> str:
    return html(found, title="runs")


WRITERS = [markdown, latex, csv_text, json_text, in_terminal, as_page]


@pytest.mark.parametrize("by", [[], ["model"], ["run"]], ids=str)
@pytest.mark.parametrize("write_out", WRITERS, ids=lambda x: x.__name__)
def test_where_rows_differ_a_column_says_it_in_each_row(
    tmp_path: Path, sow: Callable[..., None], write_out: Callable[[Comparison], str], by: list[str]
) -> None:
    """The model alone tells these rows apart."""
    sow(("vae", "unconditional"), ("gan", "conditional"), ("ddpm", GUIDED))
    text = write_out(compare(tmp_path, Query(by=by, columns=["fid"]))).replace("\\_", "_")
    shown = [line for line in text.splitlines() if any(name in line for name in ("vae", "gan", "ddpm"))]
    whole = text if write_out in (json_text, as_page) else "\n".join(shown)
    for words in ("unconditional", "conditional", GUIDED):
        assert words in whole.replace("unconditional", "" if words == "conditional" else "unconditional")


@pytest.mark.parametrize("write_out", WRITERS, ids=lambda x: x.__name__)
def test_runs_of_text_are_told_apart_from_others(
    tmp_path: Path, write: Write, result: dict, write_out: Callable[[Comparison], str]
) -> None:
    for name, text in (("a", "none"), ("b", "small"), ("c", "clip")):
        choices = result["choices"] | {"conditional": "false", "guidance": "none", "text": text}
        metrics = {"fid[f,n=9,ref=train,ema]": float(1 + "abc".index(name))}
        write(name, choices=choices, config={"conditional": False}, metrics=metrics)
    text = write_out(compare(tmp_path, Query()))
    for words in ("unconditional", "text prompts (small)", "text prompts (clip)"):
        assert words in text


def test_a_lead_of_a_run_of_text_over_others_is_qualified(tmp_path: Path, write: Write, result: dict) -> None:
    for name, text in (("a", "small"), ("b", "none")):
        choices = result["choices"] | {"conditional": "false", "guidance": "none", "text": text}
        metrics = {"fid[f,n=9,ref=train,ema]": float(1 + "ab".index(name))}
        write(name, choices=choices, config={"conditional": False}, metrics=metrics)
    assert "draws images of given texts, which others do not" in markdown(compare(tmp_path, Query()))


@pytest.mark.parametrize("write_out", WRITERS, ids=lambda x: x.__name__)
@pytest.mark.parametrize("models", [("ddpm",), ("ddpm", "flow_matching")], ids=len)
def test_where_all_rows_are_guided_the_title_and_the_shared_settings_say_it(
    tmp_path: Path, sow: Callable[..., None], write_out: Callable[[Comparison], str], models: tuple
) -> None:
    sow(*((model, GUIDED) for model in models))
    found = compare(tmp_path, Query())
    assert f"digits, {GUIDED}" in found.tables[0].title
    assert GUIDED in write_out(found).replace("\\_", "_")
    assert f"conditioning {GUIDED}" in markdown(found)


def test_scales_of_guidance_are_rows_of_one_column(tmp_path: Path, sow: Callable[..., None]) -> None:
    sow(("ddpm", GUIDED), ("ddpm", "guided (classifier_free 4)"))
    (table,) = compare(tmp_path, Query(sort="conditioning")).tables
    assert table.columns[0].title == "conditioning"
    assert [line.entries[0].value for line in table.lines] == [GUIDED, "guided (classifier_free 4)"]
    assert table.title == "digits, guided"


def test_a_training_that_no_column_counts_is_named_below_the_table(
    tmp_path: Path, write: Write, result: dict, sow: Callable[..., None]
) -> None:
    sow(("ddpm", GUIDED))
    assert "Not counted" not in markdown(compare(tmp_path, Query()))
    write("by a worse one", choices=result["choices"] | {"conditional": "true", "guidance": "auto"})
    note = r"Not counted: the training of the runs that parts are taken from \(guidance=auto\)\."
    assert re.search(note, markdown(compare(tmp_path, Query())))


def test_unconditional_tables_say_nothing_of_it(tmp_path: Path, sow: Callable[..., None]) -> None:
    sow(("ddpm", "unconditional"), ("vae", "unconditional"))
    text = markdown(compare(tmp_path, Query()))
    assert "condition" not in text


def test_what_the_user_asks_for_stays_and_what_it_hides_is_added(
    tmp_path: Path, sow: Callable[..., None]
) -> None:
    sow(("ddpm", "conditional"), ("ddpm", GUIDED))
    titles = [
        [col.title for col in compare(tmp_path, Query(by=by, columns=["fid"])).tables[0].columns]
        for by in (["model"], ["guidance"], ["conditioning"])
    ]
    assert titles == [
        ["model", "conditioning", "FID"],
        ["guidance", "conditioning", "FID"],  # the scale of which it says
        ["conditioning", "FID"],
    ]


def test_a_column_that_is_asked_for_and_tells_rows_apart_stands_once(
    tmp_path: Path, sow: Callable[..., None]
) -> None:
    sow(("ddpm", "conditional"), ("ddpm", GUIDED))
    (table,) = compare(tmp_path, Query(columns=["conditioning", "fid"])).tables
    assert [col.title for col in table.columns] == ["conditioning", "FID"]


def test_csv_and_json_of_runs_have_it_where_all_runs_are_alike(
    tmp_path: Path, sow: Callable[..., None]
) -> None:
    sow(("ddpm", GUIDED), ("vae", GUIDED))
    for query in (Query(), Query(by=["model"])):
        records = json.loads(json_text(compare(tmp_path, query)))
        assert {record["conditioning"] for record in records} == {GUIDED}
        assert {record["data"] for record in records} == {"digits"}


def test_runs_can_be_filtered_by_it(tmp_path: Path, sow: Callable[..., None]) -> None:
    sow(("ddpm", "conditional"), ("ddpm", GUIDED))
    assert len(filtered(read(tmp_path), ["conditioning=guided*"]).frame) == 1


def test_both_sides_of_a_comparison_say_it(tmp_path: Path, sow: Callable[..., None]) -> None:
    sow(("vae", "unconditional"), ("ddpm", GUIDED))
    sides = read_sides(tmp_path, tmp_path, ["model=vae"], ["model=ddpm"])
    title = str(sides_table(compare_sides(*sides), ["x", "y"], sides).title)
    assert title.splitlines() == [
        "A is x: vae, digits, unconditional, seed 0",
        f"B is y: ddpm, digits, {GUIDED}, seed 0",
    ]


def test_a_model_card_says_it_and_is_no_unconditional_task(result: dict) -> None:
    choices = result["choices"] | {"conditional": "true", "guidance": "classifier_free"}
    config = {"guidance": {"_target_": "a.ClassifierFree", "scale": 2.0}, "conditional": True}
    finished = Result.of(result | {"choices": choices, "config": config})
    for found in (finished, Result(config=config)):  # a run that has not finished has no choices
        card = model_card(found, weights="ema", made="here", license_name=None)
        assert GUIDED in card.split("---")[2]
        assert "unconditional" not in card


def test_tags_of_a_tracker_say_it() -> None:
    config = {"guidance": {"scale": 2.0}}
    choices = {"model": "ddpm", "data": "digits", "conditional": "true", "guidance": "classifier_free"}
    assert tags(choices, config) == ("ddpm", "digits", "conditional", GUIDED)
    assert tags(choices | {"guidance": "none"}, {}) == ("ddpm", "digits", "conditional")
    plain = {"conditional": "false", "guidance": "none"}
    assert tags(choices | plain, {}) == ("ddpm", "digits", "unconditional")


def test_folders_of_one_name_are_told_apart_without_their_paths(
    tmp_path: Path, write: Write, result: dict
) -> None:
    for folder, key in (("/home/me/cats", "aaaaaaaa"), ("/data/cats", "bbbbbbbb"), ("/data/dogs", "c" * 8)):
        config = {"data": {"_target_": "genbench.data.ImageFolder", "root": folder, "size": 32}}
        choices = result["choices"] | {"data": "image_folder"}
        write(f"{key}", config=config, choices=choices, data_key=key)
    found = compare(tmp_path, Query())
    assert [table.title for table in found.tables] == [
        "cats_32px (aaaaaa)",
        "cats_32px (bbbbbb)",
        "dogs_32px",
    ]
    text = markdown(found)
    assert "All rows: data cats_32px (aaaaaa)" in text
    assert "/home/me" not in text
    with pytest.raises(ValueError, match=r"A is of cats_32px \(aaaaaa\), B of cats_32px \(bbbbbb\)"):
        compare_sides(*read_sides(tmp_path / "aaaaaaaa", tmp_path / "bbbbbbbb"))


def test_settings_tell_sets_of_one_name_apart_first(tmp_path: Path, write: Write) -> None:
    for flip in (True, False):
        config = {"data": {"_target_": "a.ImageFolder", "root": f"/{flip}/cats", "size": 8, "flip": flip}}
        write(str(flip), config=config)
    titles = [table.title for table in compare(tmp_path, Query()).tables]
    assert titles == ["cats_8px (flip=false)", "cats_8px (flip=true)"]


def test_seeds_that_differ_in_what_moves_no_number_are_one_row(tmp_path: Path, write: Write) -> None:
    for seed, objective in enumerate(("fid", "kid")):
        write(f"{seed}", seed=seed, config={"objective": objective, "retry_failed": bool(seed)})
    (table,) = compare(tmp_path, Query()).tables
    assert [line.seeds for line in table.lines] == [[0, 1]]


def test_the_table_of_a_sweeps_jobs_says_it_where_all_jobs_share_it() -> None:
    shared = ("conditional=true", "guidance=classifier_free", "model=ddpm")
    jobs = [Outcome(i, "done", (*shared, f"seed={i}"), "", 1.0, "") for i in range(2)]
    assert "all with conditional=true guidance=classifier_free" in str(outcome_table(jobs).title)
    plain = [job._replace(overrides=("conditional=false", f"seed={job.job}")) for job in jobs]
    assert "all with" not in str(outcome_table(plain).title)


def test_a_row_of_which_nothing_is_known_hides_no_guidance(
    tmp_path: Path, sow: Callable[..., None], write: Write
) -> None:
    sow(("ddpm", GUIDED))
    write("early", choices={"model": "vae", "data": "digits"}, metrics={"fid[f,n=9,ref=train,ema]": 2.5})
    (table,) = compare(tmp_path, Query()).tables
    place = [col.title for col in table.columns].index("conditioning")
    assert [line.entries[place].value for line in table.lines] == [GUIDED, None]


@pytest.mark.parametrize("by", [[], ["model"], ["run"], ["data"]], ids=str)
@pytest.mark.parametrize("write_out", [markdown, latex, in_terminal, as_page], ids=lambda x: x.__name__)
def test_a_guided_row_is_always_marked_with_a_foot_note_and_no_other_row_is(
    tmp_path: Path, sow: Callable[..., None], write_out: Callable[[Comparison], str], by: list[str]
) -> None:
    mark = "$\\ddag$" if write_out is latex else "‡"
    sow(("ddpm", GUIDED), ("vae", "unconditional"))
    both = compare(tmp_path, Query(by=by, columns=["fid"]))
    (table,) = both.tables
    marked = [line.entries[0].mark == "‡" for line in table.lines]
    assert marked == [line.is_guided for line in table.lines]
    assert sum(marked) == 1  # also of a row that is the mean over guided and other runs
    text = write_out(both)
    assert text.count(mark) == 2  # the row, and the note
    assert "guided samples" in text
    sow(("gan", "conditional"))
    plain = write_out(compare(tmp_path, Query(by=by, columns=["fid"]), conditions=["model=vae,gan"]))
    assert mark not in plain
    assert "guided samples" not in plain


def test_a_table_of_guided_rows_alone_is_marked_too(tmp_path: Path, sow: Callable[..., None]) -> None:
    sow(("ddpm", GUIDED), ("vae", GUIDED))
    assert markdown(compare(tmp_path, Query())).count("‡") == 3
