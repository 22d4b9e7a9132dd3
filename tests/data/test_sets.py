import math
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torchvision

from genbench.data import Cifar10, Digits, FashionMnist, ImageSource, Mnist, prepare, sets, to_float
from genbench.runtime.progress import Progress

QUIET = Progress(None)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def fashion_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fashion")


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


@pytest.fixture
def closed_port() -> str:
    """An address of this machine where nobody listens: the port was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}/"


def test_every_fifth_digit_is_a_test_image(cache: Path) -> None:
    from sklearn.datasets import load_digits

    data = prepare(Digits(), cache=cache, progress=QUIET)
    digits = load_digits()
    assert (len(data.train), len(data.test)) == (1438, 359)
    assert data.test.labels.tolist() == digits.target[4::5].tolist()
    # Back to 0 ... 16: half a byte is 0.03 grey levels, so rounding recovers them exactly.
    assert torch.equal(
        (data.test.images[:, 0] * (16 / 255)).round(), torch.from_numpy(digits.images[4::5]).float()
    )
    assert data.train.images.max() == 255


def test_digits_in_black_and_white_are_cut_at_the_middle_of_the_grey_scale(cache: Path) -> None:
    from sklearn.datasets import load_digits

    grey, data = (prepare(Digits(binarize=flag), cache=cache, progress=QUIET) for flag in (False, True))
    white = torch.from_numpy(load_digits().images[4::5] >= 8)  # of 0 ... 16
    assert torch.equal(data.test.images[:, 0], 255 * white.byte())
    assert torch.equal(data.train.images, 255 * (grey.train.images >= 128).byte())
    assert torch.equal(data.train.labels, grey.train.labels)
    assert set(to_float(data.test.images).unique().tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("kind", [Digits, Mnist, FashionMnist])
def test_a_set_in_black_and_white_is_another_set_of_the_same_files(
    kind: type[Digits] | type[Mnist], cache: Path
) -> None:
    grey, binary = kind(), kind(binarize=True)
    assert (grey.name, binary.name) == (kind.name, f"{kind.name}_binary")
    assert grey.key() != binary.key()
    if isinstance(binary, Mnist | FashionMnist):
        for archive in binary.archives:
            (path := cache / "torchvision" / kind.name / archive).parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        assert binary.fetched() == grey.fetched() == cache / "torchvision" / kind.name


def test_fashion_mnist_in_black_and_white(shared: Path, fashion_cache: Path) -> None:
    grey, binary = (
        prepare(FashionMnist(str(shared), binarize=flag), cache=fashion_cache, progress=QUIET)
        for flag in (False, True)
    )
    assert torch.equal(binary.test.images, 255 * (grey.test.images >= 128).byte())
    assert torch.equal(binary.test.labels, grey.test.labels)


def test_fashion_mnist_from_a_folder_of_archives_has_the_published_facts(
    shared: Path, fashion_cache: Path
) -> None:
    before = sorted(shared.rglob("*"))
    data = prepare(FashionMnist(str(shared)), cache=fashion_cache, progress=QUIET)
    assert sorted(shared.rglob("*")) == before
    assert (len(data.train), len(data.test), data.shape) == (60_000, 10_000, (1, 28, 28))
    assert data.train.labels.bincount().tolist() == [6_000] * 10
    assert data.test.labels.bincount().tolist() == [1_000] * 10
    pixels = (to_float(data.train.images) + 1) / 2
    # The published figures have four digits: half a unit of the last, and float32's rounding.
    assert pixels.mean().item() == pytest.approx(0.2860, abs=6e-5)
    assert pixels.std().item() == pytest.approx(0.3530, abs=6e-5)


def test_unpacked_files_give_the_same_images_as_archives(
    shared: Path, fashion_cache: Path, cache: Path, tmp_path: Path
) -> None:
    from torchvision.datasets.utils import extract_archive

    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for archive in (shared / "FashionMNIST" / "raw").iterdir():
        extract_archive(archive, raw)
    unpacked, packed = FashionMnist(str(tmp_path)), FashionMnist(str(shared))
    assert unpacked.key() != packed.key()  # nobody vouches for the bytes of unpacked files: they are hashed
    mine = prepare(unpacked, cache=cache, progress=QUIET)
    theirs = prepare(packed, cache=fashion_cache, progress=QUIET)
    assert torch.equal(mine.test.images, theirs.test.images)
    assert torch.equal(mine.train.labels, theirs.train.labels)


def test_a_damaged_archive_is_named_and_nothing_is_downloaded_in_its_place(
    shared: Path, cache: Path, tmp_path: Path
) -> None:
    shutil.copytree(shared / "FashionMNIST", tmp_path / "FashionMNIST", copy_function=shutil.copyfile)
    for folder in (tmp_path / "FashionMNIST", tmp_path / "FashionMNIST" / "raw"):
        folder.chmod(0o755)
    labels = tmp_path / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(labels.read_bytes()[:-1] + b"?")
    with pytest.raises(ValueError, match=r"t10k-labels.*damaged"):
        prepare(FashionMnist(str(tmp_path)), cache=cache, progress=QUIET)
    assert not [path for path in (cache / "data").iterdir() if path.suffix != ".lock"]


def test_a_damaged_unpacked_file_is_refused(cache: Path, tmp_path: Path) -> None:
    for file in FashionMnist.unpacked:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"\0" * 16)
    with pytest.raises(ValueError, match="damaged"):
        prepare(FashionMnist(str(tmp_path)), cache=cache, progress=QUIET)


def idx(*shape: int, level: int = 1) -> bytes:
    """An idx file of bytes of one value."""
    head = bytes([0, 0, 8, len(shape)]) + b"".join(side.to_bytes(4, "big") for side in shape)
    return head + bytes([level]) * math.prod(shape)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("t10k-images-idx3-ubyte", b"", "torchvision finds no test images and labels of fashion_mnist"),
        ("t10k-images-idx3-ubyte", idx(2, 28, 28)[:500], "torchvision finds no test images and labels"),
        ("t10k-images-idx3-ubyte", idx(1, 28, 28), r"test images of \[1, 28, 28\], 2 labels up to 1"),
        ("t10k-images-idx3-ubyte", idx(2, 14, 56), r"of \[2, 14, 56\], .* has \[2, 28, 28\]"),
        ("train-labels-idx1-ubyte", idx(2), r"train images of \[3, 28, 28\], 2 labels"),
        (
            "train-labels-idx1-ubyte",
            idx(3, level=17),
            "3 labels up to 17; .* labels below 10: download them again",
        ),
    ],
)
def test_unpacked_files_of_another_size_are_refused(
    file: str, content: bytes, message: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FashionMnist, "sizes", (3, 2))
    raw = tmp_path / "root" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, n in (("train", 3), ("t10k", 2)):
        (raw / f"{name}-images-idx3-ubyte").write_bytes(idx(n, 28, 28))
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(idx(n))
    source = FashionMnist(str(tmp_path / "root"))
    assert len(prepare(source, cache=cache, progress=QUIET).train) == 3
    (raw / file).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        prepare(source, cache=cache, progress=QUIET)


def test_a_root_in_another_layout_names_the_files_that_it_lacks(tmp_path: Path) -> None:
    for file in FashionMnist.unpacked[:3]:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"content")
    with pytest.raises(FileNotFoundError, match=f"it lacks {FashionMnist.unpacked[3]}\\. Give the folder"):
        FashionMnist(str(tmp_path)).check()
    with pytest.raises(FileNotFoundError, match="it is not a folder"):
        FashionMnist(str(tmp_path / "none")).check()
    with pytest.raises(ValueError, match=r"data\.root is '', which names no folder"):
        FashionMnist("")


@pytest.mark.parametrize("kind", [Mnist, FashionMnist, Cifar10])
def test_a_root_without_the_files_is_refused_before_any_work(
    kind: type[Mnist], cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match=r"data\.root=PATH"):
        prepare(kind(str(tmp_path)), cache=cache, progress=QUIET)
    assert not cache.exists()


@pytest.mark.parametrize("kind", [Mnist, FashionMnist, Cifar10])
@pytest.mark.usefixtures("no_proxy")
def test_a_refused_connection_ends_in_one_error_that_names_the_way_out(
    kind: type[Mnist], cache: Path, closed_port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    official = kind().official()[0]
    monkeypatch.setattr(
        official, "url" if kind is Cifar10 else "mirrors", closed_port if kind is Cifar10 else [closed_port]
    )
    with pytest.raises(FileNotFoundError, match=r"could not be downloaded.*data\.root=PATH"):
        prepare(kind(), cache=cache, progress=QUIET)
    assert {path.suffix for path in (cache / "torchvision").iterdir()} == {".lock"}


@pytest.mark.usefixtures("no_proxy")
def test_a_silent_server_is_given_up_soon(
    cache: Path, silent_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [silent_server])
    monkeypatch.setattr(sets, "TIMEOUT_SECONDS", 0.2)
    started = time.monotonic()
    with pytest.raises(FileNotFoundError, match="timed out"):
        prepare(FashionMnist(), cache=cache, progress=QUIET)
    assert time.monotonic() - started < 5  # four files of 0.2 s, and a slow machine
    assert socket.getdefaulttimeout() is None


@pytest.mark.usefixtures("no_proxy")
def test_a_download_is_made_once_and_then_read_from_the_cache(
    shared: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        cwd=shared / "FashionMNIST" / "raw",
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        port = server.stdout.readline().split("port ")[1].split()[0]
        monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [f"http://127.0.0.1:{port}/"])
        home = FashionMnist().fetched()
    finally:
        server.terminate()
        server.wait()
    assert FashionMnist(download=False).fetched() == home == cache / "torchvision" / "fashion_mnist"
    label = next(FashionMnist(download=False).decode("test"))[1]
    assert label == 9  # the first test image is an ankle boot


def test_without_a_copy_and_without_leave_to_download_the_error_names_both_ways(cache: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data\.root=PATH.*data\.download=true"):
        prepare(Cifar10(download=False), cache=cache, progress=QUIET)


@pytest.mark.parametrize("source", [Digits(), Mnist(), FashionMnist(), Cifar10()])
def test_a_source_tells_its_facts_without_its_files(source: ImageSource) -> None:
    assert len(source.class_names) == source.num_classes == 10
    assert source.counts().keys() == {"train", "test"}
    assert source.flip == (source.name == "cifar10")
    assert len(source.key()) == 64


def test_class_names_are_torchvisions() -> None:
    assert list(FashionMnist.class_names) == torchvision.datasets.FashionMNIST.classes
