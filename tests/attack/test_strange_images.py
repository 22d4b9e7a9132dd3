"""Image files of strangers that are none: counted or named, never waited for, never unpacked unseen."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genbench.data import ImageFolder, Mnist, prepare
from genbench.runtime.progress import Progress
from tests.attack.strange import bind, claiming
from tests.attack.verbs import Done, genbench, not_waiting


def images(folder: Path, n: int = 20) -> Path:
    """A folder of grey images of 8 x 8 pixels."""
    folder.mkdir(parents=True)
    for number in range(n):
        Image.new("L", (8, 8), 10 * number).save(folder / f"{number:02}.png")
    return folder


def counted(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, int], str]:
    """Count the images that a folder gives, and return what is said of it."""
    from genbench.runtime.progress import terminal

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
        "broken links such as d.png (2)",
        "devices (1)",
        "files of .gif (1)",
        "files of .txt (2)",
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
    assert "folders that are read already, reached again by a link (63)" in said


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
        (b"", "x.png cannot be read (it is not an image)"),
        (9_000, "x.png is 9000x9000 in mode L"),
        (30_000, "x.png cannot be read (it has more than"),
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
    assert "x.npz: samples has 1,280,000 bytes, this machine has 1,048,576 bytes" in done.err


def test_what_is_no_npz_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04" + np.random.default_rng(0).bytes(500))
    assert "x.npz is not an .npz file that can be read" in evaluated(tmp_path / "x.npz").err
    np.save(tmp_path / "y.npy", np.zeros((2, 8, 8), np.uint8))
    (tmp_path / "y.npy").rename(tmp_path / "y.npz")
    assert "y.npz is not an .npz file that can be read" in evaluated(tmp_path / "y.npz").err


def test_torchvision_finds_nothing_but_the_raw_files_of_a_set(tmp_path: Path) -> None:
    """It would unpickle or prefer others that lie there."""
    for file in (*Mnist.unpacked, "MNIST/processed/training.pt", "MNIST/processed/test.pt"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"content")
    with Mnist(str(tmp_path)).readable(tmp_path) as folder:
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == set(Mnist.unpacked)
