"""Files of strangers that are not what they seem: passed over or named, never waited for, never shown."""

import base64
import json
import os
import shutil
import socket
import struct
import threading
import urllib.request
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genbench.data import ImageFolder, prepare
from genbench.progress import Progress
from genbench.report import Query, load
from genbench.report.html import html
from genbench.report.serve import LiveReport, server
from genbench.report.text import compare
from tests.attack.verbs import Done, finished_run, genbench, not_waiting
from tests.conftest import Command, Make
from tests.toys import TINY

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
SHADE = 77
"""Of the picture that lies elsewhere on the disk."""


def bind(path: Path) -> None:
    """Make a socket, by its name alone: whole paths are too long for one."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def claiming(side: int) -> bytes:
    """The beginning of a PNG that says it has side x side pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = [struct.pack(">I", 13), head, struct.pack(">I", zlib.crc32(head)), struct.pack(">I", 9), b"IDAT"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def sparse(path: Path, size: int) -> None:
    """Make a file of zeros that takes no room on the disk."""
    path.write_bytes(b"")
    os.truncate(path, size)


def elsewhere(path: Path) -> Path:
    """A file outside of all runs that is a good one of its kind."""
    root = next(parent for parent in path.parents if parent.name == "runs").parent
    return root / {".json": "secret.json", ".png": "secret.png", ".yaml": "secret.yaml"}.get(
        path.suffix, "outside"
    )


KINDS: dict[str, Callable[[Path], object]] = {
    "fifo": lambda path: os.mkfifo(path),
    "socket": bind,
    "folder": lambda path: path.mkdir(),
    "zeros": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "kernel-log": lambda path: path.symlink_to("/proc/kmsg"),
    "circle": lambda path: path.symlink_to(path.name),
    "nowhere": lambda path: path.symlink_to("is-not-there"),
    "huge": lambda path: sparse(path, 2**31),
    "deep": lambda path: path.write_text('{"genbench":' * 100_000),
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(np.random.default_rng(0).bytes(999)),
    "linked": lambda path: path.symlink_to(elsewhere(path)),
    "climbing": lambda path: path.symlink_to(os.path.relpath(elsewhere(path), path.parent)),
}


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
        ("zeros", "is a link out of"),
        ("linked", "is a link out of"),
        ("climbing", "is a link out of"),
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
        "outer_000000512.png is a link out of",
        "climbing_000000512.png is a link out of",
        "text_000000512.png is no PNG",
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


# Images


def images(folder: Path, n: int = 20) -> Path:
    """A folder of grey images of 8 x 8 pixels."""
    folder.mkdir(parents=True)
    for number in range(n):
        Image.new("L", (8, 8), 10 * number).save(folder / f"{number:02}.png")
    return folder


def counted(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, int], str]:
    """How many images a folder gives, and what is said of it."""
    from genbench.progress import terminal

    source = ImageFolder(str(root), size=8, channels=1)
    with not_waiting():
        prepare(source, cache=root.parent / "cache", progress=Progress(terminal()))
    return source.counts(), capsys.readouterr().out


def test_what_is_no_image_file_is_counted_and_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = images(tmp_path / "images")
    os.mkfifo(root / "a.png")
    bind(root / "b.png")
    (root / "c.png").symlink_to("/dev/zero")
    (root / "d.png").symlink_to("is-not-there")
    (root / "e.png").symlink_to("e.png")
    for name in ("notes.txt", "more.txt", "movie.gif"):
        (root / name).write_text("no image")
    (root / ".hidden").write_text("not told")
    counts, said = counted(root, capsys)
    assert sum(counts.values()) == 20
    assert sorted(said.partition(": ")[2].rstrip(".\n").split(", ")) == [
        "devices (1)",
        "files of .gif (1)",
        "files of .txt (2)",
        "links that lead nowhere (2)",
        "named pipes (1)",
        "sockets (1)",
    ]


def test_a_folder_that_links_lead_back_to_is_read_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = images(tmp_path / "images")
    (root / "a").symlink_to(".")
    (root / "b").symlink_to(root)
    (root / "deeper").mkdir()
    (root / "deeper" / "up").symlink_to("..")
    for level in range(30):  # without a circle, and with 2 ** 29 ways to its end
        (root / f"level{level}").mkdir()
        for way in ("left", "right"):
            (root / f"level{level}" / way).symlink_to(f"../level{level + 1}")
    (root / "level30").mkdir()
    counts, said = counted(root, capsys)
    assert sum(counts.values()) == 20
    assert "folders that a link leads to once more (63)" in said


def test_images_may_be_links_and_one_with_two_names_counts_twice_and_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, other = images(tmp_path / "images"), images(tmp_path / "other", 2)
    (root / "x.png").symlink_to(other / "00.png")
    counts, said = counted(root, capsys)
    assert (sum(counts.values()), said) == (21, "")
    (root / "y.png").symlink_to("00.png")
    os.link(root / "01.png", root / "z.png")
    counts, said = counted(root, capsys)
    assert sum(counts.values()) == 23
    assert "images that have another name there too (2)" in said


def evaluated(target: Path) -> Done:
    """Evaluate images on disk, up to the first refusal."""
    with not_waiting():
        return genbench("evaluate", target, "--data", "digits", "--device", "cpu", "--set", "scores=[fid]")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "x.png is no image that can be read: take it out"),
        (9_000, "x.png is 9000x9000 in mode L"),
        (30_000, "x.png is no image that can be read (Image size"),
    ],
)
def test_an_image_that_cannot_be_measured_is_named_before_it_is_unpacked(
    tmp_path: Path, content: bytes | int, told: str
) -> None:
    path = images(tmp_path / "given") / "x.png"
    path.write_bytes(content if isinstance(content, bytes) else claiming(content))
    os.truncate(path, 2**31)
    done = evaluated(tmp_path / "given")
    assert (done.code, done.out) == (2, "")
    assert told in done.err


def test_arrays_that_unpack_to_more_than_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "x.npz", samples=np.zeros((20_000, 8, 8), np.uint8))
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 256}
    monkeypatch.setattr(os, "sysconf", lambda name: sizes[name])
    done = evaluated(tmp_path / "x.npz")
    assert done.code == 2
    assert "unpacks to 1,280,128 bytes, 1,048,576 are in this machine" in done.err


def test_what_is_no_npz_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04" + np.random.default_rng(0).bytes(500))
    assert "x.npz is no .npz file that can be read" in evaluated(tmp_path / "x.npz").err
    np.save(tmp_path / "y.npy", np.zeros((2, 8, 8), np.uint8))
    (tmp_path / "y.npy").rename(tmp_path / "y.npz")
    assert "y.npz is no .npz file that can be read" in evaluated(tmp_path / "y.npz").err


# Trained models


@pytest.fixture
def sent(made: Make, tmp_path: Path) -> Path:
    """A copy of the run of a trained model."""
    run = tmp_path / "runs" / "sent"
    shutil.copytree(made("network.width=8", "network.blocks=1", "sampler.steps=3"), run)
    return run


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("run.json", "fifo", "is a named pipe"),
        ("run.json", "zeros", "is a link out of"),
        ("run.json", "deep", "is not JSON"),
    ],
)
def test_a_model_whose_record_is_a_strange_file_is_one_message(
    sent: Path, tmp_path: Path, name: str, kind: str, told: str
) -> None:
    (sent / name).unlink()
    KINDS[kind](sent / name)
    with not_waiting():
        done = genbench("sample", sent, "--out", tmp_path / "out", "--n", 1, "--steps", 2, "--device", "cpu")
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("kind", ["fifo", "linked", "huge", "noise", "aliases"])
def test_overrides_that_are_a_strange_file_are_one_message(sent: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret.yaml").write_text("- seed=1\n")
    path = sent / ".hydra" / "overrides.yaml"
    path.unlink()
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    KINDS.get(kind, lambda path: path.write_text("\n".join(["a0: &a0 [1]", *levels])))(path)
    with not_waiting():
        done = genbench("evaluate", sent, "--device", "cpu", "--metrics", "none")
    assert (done.code, done.out) == (2, "")
    assert str(path) in done.err
    assert len(done.err.splitlines()) == 1


def test_a_file_that_a_sent_run_links_to_is_not_appended_to(sent: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (sent / "evaluations.jsonl").symlink_to(precious)
    done = genbench("evaluate", sent, "--device", "cpu", "--metrics", "none")
    assert done.code == 2
    assert "evaluations.jsonl is a link" in done.err
    assert precious.read_text() == "mine"


@pytest.mark.slow
def test_a_run_is_not_resumed_onto_links_and_pipes(main: Command, tmp_path: Path) -> None:
    """Of the files that a run writes where they stand, and of those that it reads first."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    done = main(*TINY, f"runs_dir={tmp_path / 'runs'}")
    assert done.returncode == 0, done.stderr
    (run,) = (path.parent for path in (tmp_path / "runs").rglob("result.json"))
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"status": "stopped"}))
    (run / "result.json").unlink()
    for name in ("metrics.jsonl", "main.log", ".lock", "run.json", "checkpoints/last.pt"):
        kept = tmp_path / "kept"
        if (run / name).exists():
            (run / name).rename(kept)
        for make in (lambda path: os.mkfifo(path), lambda path: path.symlink_to(precious)):
            make(run / name)
            again = main(*TINY, f"runs_dir={tmp_path / 'runs'}")
            assert again.returncode in (1, 2), (name, again.stdout)
            assert name in again.stderr
            assert "Traceback" not in again.stderr
            (run / name).unlink()
        if kept.exists():
            kept.rename(run / name)
    assert precious.read_text() == "mine"
