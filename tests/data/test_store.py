import errno
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from genbench.data import ImageSource, Split, cache_dir, prepare
from genbench.runtime.progress import Progress

QUIET = Progress(None)
Ramp = type[ImageSource]


def stores(cache: Path) -> list[Path]:
    """All that stands beside the locks."""
    return sorted(path for path in (cache / "data").iterdir() if path.suffix != ".lock")


def test_the_store_gives_back_what_the_source_decoded(ramp: Ramp, tmp_path: Path) -> None:
    source = ramp()
    data = prepare(source, cache=tmp_path, progress=QUIET)
    assert (len(data.train), len(data.test), data.shape, data.num_classes) == (12, 4, (2, 3, 5), 3)
    for split, part in (("train", data.train), ("test", data.test)):
        for i in range(len(part)):
            assert np.array_equal(part.images[i].numpy(), source.image(split, i).transpose(2, 0, 1))
        assert part.labels.tolist() == [i % 3 for i in range(len(part))]


def test_the_header_has_the_hash_of_what_was_decoded(ramp: Ramp, tmp_path: Path) -> None:
    data = prepare(ramp(), cache=tmp_path, progress=QUIET)
    parts = [part for split in (data.train, data.test) for part in (split.images, split.labels)]
    expected = hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest()
    (folder,) = stores(tmp_path)
    assert json.loads((folder / "header.json").read_text())["header"]["sha256"] == expected


def test_images_that_the_disk_of_the_cache_cannot_hold_are_refused_before_any_is_decoded(
    ramp: Ramp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=100))
    with pytest.raises(ValueError, match=r"the images of .* take at least .* GENBENCH_CACHE"):
        prepare(ramp(), cache=tmp_path, progress=QUIET)
    assert stores(tmp_path) == []


def test_a_set_is_decoded_once(ramp: Ramp, tmp_path: Path) -> None:
    source = ramp()
    first = prepare(source, cache=tmp_path, progress=QUIET)
    second = prepare(source, cache=tmp_path, progress=QUIET)
    assert source.decoded == ["train", "test"]
    assert torch.equal(first.train.images, second.train.images)


def test_a_set_without_classes_has_no_labels(ramp: Ramp, tmp_path: Path) -> None:
    data = prepare(ramp(labelled=False), cache=tmp_path, progress=QUIET)
    assert data.train.labels is None
    assert data.train.gather(torch.tensor([1]), torch.device("cpu"))[1] is None


def test_gather_takes_images_and_labels_in_the_order_asked_for(ramp: Ramp, tmp_path: Path) -> None:
    split = prepare(ramp(), cache=tmp_path, progress=QUIET).train
    index = torch.tensor([5, 0, 5])
    images, labels = split.gather(index, torch.device("cpu"))
    assert torch.equal(images, torch.stack([split.images[i] for i in (5, 0, 5)]))
    assert labels is not None
    assert labels.tolist() == [2, 0, 2]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gather_onto_a_gpu_gives_the_same_bytes(ramp: Ramp, tmp_path: Path) -> None:
    split = prepare(ramp(), cache=tmp_path, progress=QUIET).train
    index = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    for where in (index, index.cuda()):
        images, labels = split.gather(where, torch.device("cuda"))
        assert images.is_cuda
        assert torch.equal(images.cpu(), split.images[index])
        assert torch.equal(labels.cpu(), split.labels[index])


def test_no_write_to_a_batch_or_a_split_reaches_the_file(ramp: Ramp, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of arrays that cannot be written
        split = prepare(ramp(), cache=tmp_path, progress=QUIET).train
    before = split.images.clone()
    split.gather(torch.arange(12), torch.device("cpu"))[0].zero_()
    assert torch.equal(split.images, before)
    split.images.zero_()
    again = prepare(ramp(), cache=tmp_path, progress=QUIET).train
    assert torch.equal(again.images, before)


def cut(folder: Path) -> None:
    with (folder / "train.images").open("r+b") as file:
        file.truncate(17)


def lose(folder: Path) -> None:
    (folder / "test.labels").unlink()


def forge(folder: Path) -> None:
    header = json.loads((folder / "header.json").read_text())
    header["header"]["shape"] = [2, 5, 3]
    (folder / "header.json").write_text(json.dumps(header))


def blank(folder: Path) -> None:
    (folder / "header.json").write_text("")


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize("harm", [cut, lose, forge, blank, empty])
def test_a_damaged_store_is_made_anew_with_a_warning(
    harm: Callable[[Path], None], ramp: Ramp, tmp_path: Path
) -> None:
    before = prepare(ramp(), cache=tmp_path, progress=QUIET).train.images.clone()
    harm(stores(tmp_path)[0])
    with pytest.warns(UserWarning, match="damaged"):
        after = prepare(ramp(), cache=tmp_path, progress=QUIET)
    assert torch.equal(after.train.images, before)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare(ramp(), cache=tmp_path, progress=QUIET)


@pytest.mark.parametrize(
    ("fault", "message"),
    [({"wrong_label": True}, "image 2 of ramp has label 3"), ({"short": True}, "instead of 12")],
)
def test_a_source_that_breaks_its_word_is_refused_and_leaves_nothing(
    fault: dict[str, bool], message: str, ramp: Ramp, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        prepare(ramp(**fault), cache=tmp_path, progress=QUIET)
    assert stores(tmp_path) == []


def prepare_and_report(source: ImageSource, cache: Path, sums: multiprocessing.Queue) -> None:
    sums.put(int(prepare(source, cache=cache, progress=QUIET).train.images.sum()))


def test_two_processes_at_once_both_succeed(ramp: Ramp, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    sums = context.Queue()
    workers = [
        context.Process(target=prepare_and_report, args=(slowed(ramp), tmp_path, sums)) for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    found = [sums.get(timeout=30) for _ in workers]
    for worker in workers:
        worker.join()
    assert found == [int(prepare(ramp(), cache=tmp_path, progress=QUIET).train.images.sum())] * 2
    assert len(stores(tmp_path)) == 1


def slowed(ramp: Ramp) -> ImageSource:
    """The same set, a tenth of a second an image."""

    class Slow(ramp):
        def decode(self, split: str) -> Iterator[tuple[np.ndarray, int]]:
            for item in super().decode(split):
                time.sleep(0.05)
                yield item

    return Slow()


def test_a_killed_preparation_leaves_no_store_and_is_done_again(ramp: Ramp, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    worker = context.Process(target=prepare_and_report, args=(slowed(ramp), tmp_path, context.Queue()))
    worker.start()
    while not list(tmp_path.glob("data/*.part/train.images")):
        time.sleep(0.01)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    assert [path.suffix for path in stores(tmp_path)] == [".part"]
    assert len(prepare(ramp(), cache=tmp_path, progress=QUIET).train) == 12
    assert [path.suffix for path in stores(tmp_path)] == [""]


def test_a_prepared_set_is_read_from_a_cache_that_cannot_be_written(ramp: Ramp, tmp_path: Path) -> None:
    prepare(ramp(), cache=tmp_path, progress=QUIET)
    next((tmp_path / "data").glob("*.lock"), tmp_path / "none").unlink(missing_ok=True)
    (tmp_path / "data").chmod(0o555)
    try:
        assert len(prepare(ramp(), cache=tmp_path, progress=QUIET).train) == 12
        assert len(list((tmp_path / "data").iterdir())) == 1  # not even a lock: root could have made one
    finally:
        (tmp_path / "data").chmod(0o755)


def test_preparation_shows_its_progress_to_the_end(ramp: Ramp, tmp_path: Path) -> None:
    with (tmp_path / "terminal").open("w") as file:
        prepare(ramp(), cache=tmp_path, progress=Progress(Console(file=file, force_terminal=True, width=120)))
    shown = (tmp_path / "terminal").read_text()
    assert "Preparing ramp" in shown
    assert "16/16" in shown


def test_a_split_refuses_anything_but_bytes_and_one_label_each() -> None:
    images = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    with pytest.raises(ValueError, match="float32"):
        Split(images.float(), None)
    with pytest.raises(ValueError, match=r"\(2,\)"):
        Split(images, torch.zeros(2, dtype=torch.int64))


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("GENBENCH_CACHE")
    assert cache_dir() == Path.home() / ".cache" / "genbench"


def test_a_store_or_lock_that_another_user_made_names_the_variable_of_the_cache(
    ramp: Ramp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(ramp(), cache=tmp_path, progress=QUIET)

    def closed(path: Path, name: str) -> dict[str, object]:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("genbench.data.store.read_sealed", closed)
        with pytest.raises(ValueError, match=r"Permission denied: .*header\.json.*GENBENCH_CACHE"):
            prepare(ramp(), cache=tmp_path, progress=QUIET)
    (store,) = (path for path in (tmp_path / "data").iterdir() if path.is_dir())
    shutil.rmtree(store)
    assert Path(f"{store}.lock").is_file()
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith(".lock"))
    with pytest.raises(ValueError, match=r"Permission denied: .*\.lock\): make it writable.*GENBENCH_CACHE"):
        prepare(ramp(), cache=tmp_path, progress=QUIET)
