"""Files of strangers that are not what they seem: passed over or named, never waited for, never shown."""

import base64
import shutil
import threading
import urllib.request
import warnings
from pathlib import Path

import pytest
from PIL import Image

from genbench.report import Query, load
from genbench.report.compare import compare
from genbench.report.page import html
from genbench.report.page.serve import LiveReport, server
from tests.attack.strange import KINDS, SHADE, claiming
from tests.attack.verbs import finished_run, genbench, not_waiting

NAMES = (
    "result.json",
    "run.json",
    "metrics.jsonl",
    "evaluations.jsonl",
    ".hydra/overrides.yaml",
    "samples/samples_000000512.png",
    "samples/real.png",
    "samples",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good runs, and one for each kind of strange file in the place of each file of a run."""
    root = tmp_path_factory.mktemp("strange")
    (root / "secret.json").write_text('{"status": "TOPSECRET", "error": "TOPSECRET"}')
    (root / "secret.yaml").write_text("- TOPSECRET=1\n")
    (root / "outside").mkdir()
    Image.new("L", (8, 8), SHADE).save(root / "secret.png")
    shutil.copy(root / "secret.png", root / "outside" / "samples_000000512.png")
    for seed in range(2):
        finished_run(root / "runs" / f"good-{seed}", seed, identity="good")
    for name in NAMES:
        for kind, make in KINDS.items():
            run = finished_run(root / "runs" / f"{kind}-for-{name.replace('/', '-')}", seed=2)
            target = run / name
            if name == "run.json":
                (run / "result.json").unlink()
            if target.is_dir():
                shutil.rmtree(target)
            target.unlink(missing_ok=True)
            make(target)
    return root / "runs"


def secrets(runs: Path) -> list[str]:
    """Texts that only files outside of the runs hold."""
    return ["TOPSECRET", base64.b64encode((runs.parent / "secret.png").read_bytes()).decode()]


def check_shown(text: str, runs: Path) -> None:
    """Hold a report to the good runs, and to nothing from outside of the runs."""
    assert "good-0" in text
    assert "good-1" in text
    assert [word for word in secrets(runs) if word in text] == []


@pytest.mark.parametrize("format", ["md", "csv", "json", "latex", "html"])
def test_strange_files_in_some_runs_keep_no_report_from_the_others(runs: Path, format: str) -> None:
    with not_waiting():
        done = genbench("report", runs, "--by", "run", "--format", format)
    assert done.code == 0, done.err
    check_shown(done.out, runs)
    assert [line for line in done.err.splitlines() if "Traceback" in line] == []


def test_runs_whose_record_is_a_strange_file_are_named_with_what_it_is(runs: Path) -> None:
    with not_waiting():
        left_out = compare(runs, Query()).runs.left_out
    for kind, told in (
        ("fifo", "is a named pipe, not a regular file"),
        ("socket", "is a socket"),
        ("zeros", "is a link to a place outside of"),
        ("linked", "is a link to a place outside of"),
        ("climbing", "is a link to a place outside of"),
        ("huge", "has 2,147,483,648 bytes"),
        ("deep", "nested"),
    ):
        for name in ("result.json", "run.json"):
            assert told in left_out[f"{kind}-for-{name}"]


def test_the_data_frame_and_a_comparison_of_two_are_not_kept_from_the_good_runs(runs: Path) -> None:
    with not_waiting(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = load(runs)
        done = genbench("compare", runs, runs, "--a", "run=good-0", "--b", "run=good-1")
    assert {"good-0", "good-1"} <= set(frame["run"])
    assert done.code == 0, done.err


def test_the_served_page_and_its_state_are_there(runs: Path) -> None:
    def page(state: str) -> str:
        return html(compare(runs, Query(by=["run"]), unfinished=True), title="runs", state=state)

    with not_waiting(), server(LiveReport(runs, page), "127.0.0.1", 0) as listening:
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        for path in ("", "state"):
            with urllib.request.urlopen(
                f"http://127.0.0.1:{listening.server_port}/{path}", timeout=60
            ) as answer:
                text = answer.read().decode()
            assert "TOPSECRET" not in text
        listening.shutdown()
        thread.join()


def shown(run: Path) -> str:
    """The page of the folder that a run lies in."""
    done = genbench("report", run.parent, "--format", "html")
    assert done.code == 0, done.err
    return done.out


def test_a_picture_is_shown_only_from_inside_its_run(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "runs" / "a")
    samples = run / "samples"
    Image.new("L", (8, 8), SHADE).save(tmp_path / "secret.png")
    Image.new("L", (8, 8), 55).save(samples / "kept.png")
    (samples / "inner_000000512.png").symlink_to("kept.png")
    (samples / "outer_000000512.png").symlink_to(tmp_path / "secret.png")
    (samples / "climbing_000000512.png").symlink_to("../../../secret.png")
    (samples / "text_000000512.png").write_text("<svg onload=alert(1)>")
    (samples / "bomb_000000512.png").write_bytes(claiming(40_000))
    text = shown(run)
    assert base64.b64encode((samples / "kept.png").read_bytes()).decode() in text
    assert base64.b64encode((tmp_path / "secret.png").read_bytes()).decode() not in text
    assert "onload=alert(1)" not in text
    for told in (
        "outer_000000512.png is a link to a place outside of",
        "climbing_000000512.png is a link to a place outside of",
        "text_000000512.png is not a PNG file",
        "bomb_000000512.png has 40000 x 40000 pixels",
    ):
        assert told in text


def test_a_path_in_a_record_shows_no_file(tmp_path: Path) -> None:
    Image.new("L", (8, 8), SHADE).save(tmp_path / "secret.png")
    for name, path in (("up", "../../secret.png"), ("absolute", str(tmp_path / "secret.png"))):
        finished_run(tmp_path / "runs" / name, samples={"grid": path, "real": path})
    out = tmp_path / "page"
    assert genbench("report", tmp_path / "runs", "--format", "html", "--assets", "--out", out).code == 0
    secret = (tmp_path / "secret.png").read_bytes()
    assert [path for path in out.rglob("*") if path.is_file() and secret in path.read_bytes()] == []


def test_a_directory_of_runs_may_itself_be_a_link(tmp_path: Path) -> None:
    finished_run(tmp_path / "disk" / "a")
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    text = genbench("report", tmp_path / "runs", "--format", "html").out
    assert base64.b64encode((tmp_path / "disk/a/samples/samples_000000512.png").read_bytes()).decode() in text
