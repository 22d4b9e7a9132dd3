"""The page as text: what is in it, and that nothing of a run gets out of its place."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from genbench.report import Query
from genbench.report.compare import Comparison, compare
from genbench.report.page import figures, html, run_folder, write_folder
from genbench.report.page.figures import CURVES, ShownRow
from genbench.report.page.pictures import Pictures, embedded
from genbench.report.page.sections import section
from genbench.report.row_names import row_names

Write = Callable[..., Path]
FID = "fid[f-cnn,n=1000,ref=train,{}]"
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7 * 7 }}&amp;\n\u202e"


class Tags(HTMLParser):
    """All tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def furnish(path: Path, *, overrides: str = "- model=ddpm\n- 'name=a b'\n", shade: int = 0) -> None:
    """Files of a run's directory beside its result."""
    run = path.parent
    (run / "samples").mkdir()
    for name in ("samples_000000010.png", "samples_000000020.png", "trajectory_000000020.png", "real.png"):
        Image.new("L", (8, 8), shade + len(name)).save(run / "samples" / name)
    (run / ".hydra").mkdir()
    (run / ".hydra" / "overrides.yaml").write_text(overrides)
    git = {"commit": "0123456789abcdef", "dirty": True}
    record = {"status": "done", "error": None, "git": git, "versions": {"torch": "2"}}
    (run / "run.json").write_text(json.dumps(record))
    lines = [{"images_seen": i, "net/loss": 1 / i} for i in range(1, 5)]
    (run / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"images_s')


@pytest.fixture
def found(tmp_path: Path, write: Write, result: dict) -> Comparison:
    for number, loss in enumerate(("l1", "l2")):
        cost = result["cost"] | {"training_seconds": 10.0 + number, "seconds_per_image": 0.1**number}
        choices, metrics = result["choices"] | {"loss": loss}, {FID.format("ema"): 1.0 + number}
        config = {"schedule": {"_target_": "x.Cosine"}, "optim": {"lr": 0.1 * number}}
        noise = {"t": [0.0, 0.3, 0.7, 1.0], "alpha_bar": [1.0, 0.9, 0.5, 0.1]}
        run = write(loss, choices=choices, metrics=metrics, cost=cost, config=config, noise=noise)
        furnish(run, shade=9 * number)
    return compare(tmp_path, Query())


def text(found: Comparison) -> str:
    return html(found, title="runs")


def test_joules_are_columns_and_axes_where_runs_have_them(
    found: Comparison, tmp_path: Path, write: Write, result: dict
) -> None:
    page = text(found)
    assert "joules" not in page
    assert "J/sample" not in page
    for number, loss in enumerate(("l1", "l2")):
        cost = result["cost"] | {"training_joules": 100.0 * (1 + number), "joules_per_sample": 0.5 + number}
        choices, metrics = result["choices"] | {"loss": loss}, {FID.format("ema"): 1.0 + number}
        write(loss, choices=choices, metrics=metrics, cost=cost)
    page = text(compare(tmp_path, Query()))
    assert "FID against joules per sample" in page
    assert "FID against joules of training" in page
    assert "J/sample" in page
    assert 'train <span class="arrow">J' in page


def test_everything_that_was_asked_for_is_on_the_page(found: Comparison) -> None:
    page = text(found)
    assert "FID against seconds per sample" in page
    assert "FID against seconds of training" in page
    assert "Pareto front" in page
    assert "net/loss" in page
    assert "log SNR" in page
    assert ">cosine<" in page
    assert ">optim.lr<" in page
    assert "python main.py model=ddpm &#39;name=a b&#39;" in page
    assert "commit 0123456789ab with changes, torch 2" in page
    assert "<summary>Trajectory: " in page
    assert "All pictures are from seed 1" in page


def test_it_is_one_file_that_asks_for_nothing(found: Comparison) -> None:
    tags = Tags(text(found))
    sources = [tag["src"] for tag in tags.all("img")]
    assert len(sources) == 5  # two grids, two trajectories, one of training images
    assert all(source and source.startswith("data:image/png;base64,") for source in sources)
    assert all("src" not in tag for tag in tags.all("script"))
    assert tags.all("link") == []
    links = [tag["href"] for tag in tags.all("a")]
    assert all(link and link.startswith("#") for link in links)
    assert re.findall(r"url\(|@import|https?://", text(found)) == []


def test_an_animation_gives_way_to_a_still_picture_where_a_reader_wants_no_motion(
    found: Comparison, tmp_path: Path
) -> None:
    frames = [Image.new("L", (8, 8), shade) for shade in (0, 200)]
    for run in found.runs.paths.values():
        path = run / "samples" / "animation_000000020.webp"
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=50, lossless=True)
    tags = Tags(text(found))
    stills, sources = tags.all("source"), [str(tag["src"]) for tag in tags.all("img")]
    assert len(stills) == 2  # of two rows
    assert {tag["media"] for tag in stills} == {"(prefers-reduced-motion: reduce)"}
    assert {tag["srcset"] for tag in stills} < {*sources}  # the trajectories
    assert sum(source.startswith("data:image/webp;") for source in sources) == 2
    out = tmp_path / "new"
    write_folder(found, out, title="runs")
    assert len([*out.rglob("*.webp")]) == 1


def test_as_a_folder_the_pictures_are_files_beside_it_each_once(found: Comparison, tmp_path: Path) -> None:
    out = tmp_path / "new"
    write_folder(found, out, title="runs")
    sources = {tag["src"] for tag in Tags((out / "index.html").read_text()).all("img")}
    assert {path.relative_to(out).as_posix() for path in out.rglob("*.png")} == sources


def test_every_text_of_a_run_is_escaped(tmp_path: Path, write: Write, result: dict) -> None:
    fid = f"fid[{re.sub(r'[^ -~]|[<>,]', '', HOSTILE)}<b>,ema]"
    for number in range(2):
        choices = dict.fromkeys(result["choices"], HOSTILE) | {"loss": f"{HOSTILE}{number}"}
        path = write(
            f"run{number}",
            choices=choices,
            metrics={fid: 1.0 + number},
            cost=result["cost"] | {"device": HOSTILE},
            config={HOSTILE: {HOSTILE: f"{HOSTILE}{number}"}},
        )
        furnish(path, overrides=f"- {json.dumps(HOSTILE)}\n")
        (path.parent / "samples" / "samples_<img src=x>_000000001.png").write_bytes(b"no picture")
        (path.parent / "metrics.jsonl").write_text(
            "".join(
                json.dumps({"images_seen": i, f"{HOSTILE.splitlines()[0]}/loss": i}) + "\n" for i in (1, 2)
            )
        )
    (tmp_path / "<i>bad").mkdir()
    (tmp_path / "<i>bad" / "run.json").write_text(json.dumps({"status": HOSTILE, "error": HOSTILE}))
    tags = Tags(text(compare(tmp_path, Query())))
    assert len(tags.all("script")) == 1
    assert tags.all("i") == tags.all("b") == []
    assert [name for _, attributes in tags.found for name in attributes if name.startswith("on")] == []
    assert all((tag["src"] or "").startswith("data:image/png") for tag in tags.all("img"))
    assert "49" not in tags.all("tr")[1]["data-words"]  # no template of ours runs what a run holds


def test_runs_that_are_not_finished_are_listed_with_how_far_they_came(
    found: Comparison, tmp_path: Path
) -> None:
    run = tmp_path / "going"
    run.mkdir()
    (run / "run.json").write_text('{"status": "running", "error": null}')
    (run / "metrics.jsonl").write_text('{"images_seen": 12345, "net/loss": 1}\n{"imag')
    page = text(compare(tmp_path, Query()))
    assert "killed, or in a long evaluation" in page
    assert "12,345" in page


def test_the_run_that_is_shown_is_of_a_seed_that_all_rows_have(
    tmp_path: Path, write: Write, result: dict
) -> None:
    for loss, seeds in (("l1", (0, 2)), ("l2", (1, 2))):
        for seed in seeds:
            choices = result["choices"] | {"loss": loss}
            furnish(write(f"{loss}{seed}", choices=choices, seed=seed), overrides=f"- seed={seed}\n")
    page = text(compare(tmp_path, Query()))
    assert "All pictures are from seed 2" in page
    first = re.findall(r'<dd>\s*<div class="command">\s*<code tabindex="0">python main.py seed=(\d)', page)
    assert first == ["2", "2"]


def test_scores_during_training_are_curves_whose_titles_say_of_how_many_samples(
    tmp_path: Path, write: Write
) -> None:
    path = write("a").parent / "metrics.jsonl"
    logged = {
        "training/fid[f,n=200,ref=train,ema]": 2.0,
        "training/fid_se[f,n=200,ref=train,ema]": 0.5,
        "training/fid[f,n=200,ref=train,raw]": 9.0,
        "training/fid": 2.0,
    }
    path.write_text("".join(json.dumps({"images_seen": i} | logged) + "\n" for i in (1, 2)))
    assert run_folder.read_log(path.parent)[0] == {
        "training/fid[f,n=200,ref=train,ema]": ([1, 2], [2.0, 2.0])
    }
    page = text(compare(tmp_path, Query()))
    assert "<figcaption>FID during training (f,n=200)</figcaption>" in page
    assert page.count("during training (") == 2  # the caption, and the label of the figure


def test_validation_stands_beside_the_loss_of_the_training_with_the_chosen_point_marked(
    tmp_path: Path, write: Write
) -> None:
    score = "validation/fid[f,n=64,ref=validation,ema]"
    log = [{"images_seen": i, "net/loss": 3.0 - i} for i in (1, 2)]
    log += [
        {"images_seen": i, "validation/loss": loss, score: 9.0, "validation/bits_per_dim": 4.0}
        for i, loss in ((1, 2.5), (2, 1.25), (3, 1.5))
    ]
    best = {"images_seen": 2, "by": "loss", "value": 1.25}
    for name, more in (("a", {"best": best}), ("b", {})):
        path = write(name, **more).parent / "metrics.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in log))
    (table,) = compare(tmp_path, Query(by=["run"])).tables
    lines = sorted(table.lines, key=lambda line: line.runs)
    rows = [ShownRow(i, line.runs[0], line, tmp_path / line.runs[0]) for i, line in enumerate(lines)]
    both = figures.training_panel(rows, {})
    loss, bits, fid = both.figures
    assert loss.title == "net/loss"
    assert loss.svg.count('class="line ') == loss.svg.count('class="validation ') == 2
    assert [svg.count('class="dot ') for svg in (loss.svg, bits.svg, fid.svg)] == [1, 1, 1]
    assert "<title>a: best 1.25 at 2</title>" in loss.svg
    assert bits.title == "bits per dimension in validations"
    assert fid.title == "fid in validations (f,n=64)"
    assert "Dotted: averaged weights on the validation images" in both.note


@pytest.mark.parametrize(
    ("name", "losses", "expected"),
    [
        ("validation/loss", ["net/loss"], "net/loss"),
        ("validation/gen/loss", ["gen/loss", "disc/loss"], "gen/loss"),
        ("validation/loss", ["gen/loss", "disc/loss"], "validation/loss"),
        ("validation/loss", [], "validation/loss"),
        ("net/loss", ["net/loss"], "net/loss"),
        ("validation/bits_per_dim", ["net/loss"], "validation/bits_per_dim"),
    ],
)
def test_a_loss_of_validation_finds_that_of_its_phase(name: str, losses: list[str], expected: str) -> None:
    assert figures.trained_loss(name, [*losses, "validation/loss"]) == expected


def test_rows_that_differ_in_their_budget_alone_have_names_that_say_it(
    tmp_path: Path, write: Write, result: dict
) -> None:
    for number, images in enumerate((1000, 2000, 1000)):
        choices = result["choices"] | {"loss": "l1" if number < 2 else "l2"}
        write(f"run{number}", choices=choices, config={"budget": {"images": images}})
    (table,) = compare(tmp_path, Query()).tables
    assert sorted(row_names(table)) == ["l1 · 1,000 images", "l1 · 2,000 images", "l2"]


def test_rows_that_differ_in_numbers_of_seeds_and_choices_have_names_of_their_choices(
    tmp_path: Path, write: Write, result: dict
) -> None:
    for loss, seed in (("l1", 0), ("l1", 1), ("l2", 0)):
        write(f"{loss}{seed}", choices=result["choices"] | {"loss": loss}, seed=seed)
    (table,) = compare(tmp_path, Query()).tables
    assert sorted(row_names(table)) == ["l1", "l2"]


def test_rows_that_a_budget_tells_apart_are_not_named_by_devices_and_seeds_too(
    tmp_path: Path, write: Write, result: dict
) -> None:
    for number, (images, device) in enumerate(((1000, "cpu"), (2000, "gpu"), (2000, "gpu"))):
        cost = result["cost"] | {"device": device}
        write(f"run{number}", seed=number, cost=cost, config={"budget": {"images": images}})
    (table,) = compare(tmp_path, Query()).tables
    assert sorted(row_names(table)) == ["ddpm · 1,000 images", "ddpm · 2,000 images"]


def fronts(found: Comparison) -> list[str]:
    """Return what each front of the first figure is of."""
    shown = section(0, found.tables[0], found, Pictures(embedded))
    return re.findall(r'class="front[^>]*><title>(.*?)</title>', shown["costs"].figures[0].svg)


def test_a_front_is_of_rows_that_the_table_would_rank(tmp_path: Path, write: Write, result: dict) -> None:
    """Of one budget, and of likelihoods of one kind."""
    for number, images in enumerate((1000, 1000, 2000)):
        cost = result["cost"] | {"seconds_per_image": 0.1**number}
        choices = result["choices"] | {"loss": f"l{number}"}
        likelihood = result["likelihood"] | {"bits_per_dim": 3.0 + number}
        config = {"budget": {"images": images}}
        write(f"r{number}", choices=choices, cost=cost, config=config, likelihood=likelihood, metrics={})
    assert fronts(compare(tmp_path, Query())) == ["Pareto front of 1,000 images"]
    path = tmp_path / "r1" / "result.json"
    path.write_text(path.read_text().replace('"lower"', '"exact"'))
    assert fronts(compare(tmp_path, Query())) == []


def test_a_legend_of_curves_names_the_rows_that_have_one(tmp_path: Path, write: Write, result: dict) -> None:
    for number in range(CURVES + 4):
        furnish(write(f"r{number}", choices=result["choices"] | {"loss": f"l{number:02}"}))
    found = compare(tmp_path, Query())
    shown = section(0, found.tables[0], found, Pictures(embedded))
    assert [row for row, _ in shown["training"].legend] == list(range(CURVES))
