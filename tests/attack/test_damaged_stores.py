"""Image stores and caches that are damaged: made anew with a warning, never measured by."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genbench.data import Digits, ImageFolder, prepare
from genbench.errors import Damaged
from tests.attack.harm import (
    QUIET,
    Harm,
    blank,
    command,
    contents,
    flip,
    misplace,
    plug,
)

STORE_HARMS: dict[str, Harm] = {
    "zeroed": lambda store: blank(store / "train.images"),
    "flipped": lambda store: flip(store / "train.images"),
    "a label": lambda store: flip(store / "train.labels"),
    "test images": lambda store: flip(store / "test.images"),
    "a folder inside": lambda store: misplace(store / "train.images"),
    "a pipe": lambda store: plug(store / "header.json"),
    "a foreign header": lambda store: (store / "header.json").write_text('{"a": [1]}'),
    "no folder": lambda store: (shutil.rmtree(store), store.write_text("")),
}


@pytest.mark.parametrize("harm", STORE_HARMS.values(), ids=STORE_HARMS)
def test_a_damaged_image_store_is_made_anew_with_a_warning(harm: Harm, tmp_path: Path) -> None:
    expected = contents(tmp_path)
    harm(next((tmp_path / "data").glob("*/header.json")).parent)
    with pytest.warns(UserWarning, match=r"is damaged .* is (rebuilt|computed again)"):
        found = contents(tmp_path)
    assert all(map(torch.equal, found, expected))


def test_a_store_of_an_earlier_version_is_made_anew(tmp_path: Path) -> None:
    """It says nothing by which its images could be verified."""
    expected = contents(tmp_path)
    path = next((tmp_path / "data").glob("*/header.json"))
    header = {key: value for key, value in json.loads(path.read_text())["header"].items() if key != "crc32"}
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({"sha256": digest, "header": header}))
    blank(path.with_name("train.images"))
    with pytest.warns(UserWarning, match="earlier version"):
        assert all(map(torch.equal, contents(tmp_path), expected))


def zero(path: Path) -> None:
    """Write zeros into a file that stays the same one."""
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))


def test_a_store_that_changes_under_a_run_is_noticed(tmp_path: Path) -> None:
    """In place: zeros would be trained on, and a read behind the end of a cut file ends the process."""
    for number, harm in enumerate((zero, lambda path: os.truncate(path, 100))):
        cache = tmp_path / str(number)
        train = prepare(Digits(), cache=cache, progress=QUIET).train
        harm(next((cache / "data").glob("*/train.images")))
        with pytest.raises(Damaged, match=r"train.images was changed while"):
            train.gather(torch.arange(1400, 1438), torch.device("cpu"))


def test_a_store_that_is_deleted_touched_or_made_anew_under_a_run_lives_on(tmp_path: Path) -> None:
    train = prepare(Digits(), cache=tmp_path, progress=QUIET).train
    expected, path = train.images.clone(), next((tmp_path / "data").glob("*/train.images"))
    os.utime(path, (1, 1))
    assert torch.equal(train.images, expected)
    shutil.rmtree(tmp_path / "data")
    assert torch.equal(train.images, expected)
    prepare(Digits(), cache=tmp_path, progress=QUIET)
    assert torch.equal(train.images, expected)


class Restless(ImageFolder):
    """A folder of images, one of which somebody exchanges while it is decoded."""

    def decode(self, split: str) -> Iterator[tuple[np.ndarray, int]]:
        yield from super().decode(split)
        Image.new("L", (8, 8), 255).save(self.bases["train"] / "0.png")


def test_images_that_change_while_they_are_decoded_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for k in range(20):
        Image.new("L", (8, 8), 10 * k).save(tmp_path / "images" / f"{k}.png")
    source = Restless(str(tmp_path / "images"), size=8, channels=1)
    with pytest.raises(ValueError, match="changed while they were decoded"):
        prepare(source, cache=tmp_path / "cache", progress=QUIET)
    assert not list((tmp_path / "cache").rglob("header.json"))


def test_a_damaged_cache_changes_no_measurement(tmp_path: Path) -> None:
    """The number of images is no tensor, and stands beside them."""
    images = np.random.default_rng(0).integers(0, 256, (64, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", samples=images)
    words = ("genbench", "evaluate", tmp_path / "images.npz", "--data=digits", "--set=scores=[fid]")
    assert command(tmp_path, *words).code == 0
    for path in (tmp_path / "reference").glob("*.safetensors"):
        content = re.sub(rb'(\\"n\\": )\d', rb"\g<1>9", path.read_bytes())
        assert content != path.read_bytes()
        path.write_bytes(content)
    done = command(tmp_path, *words)
    assert (done.code, done.told.count("its checksum is wrong")) == (0, 2), done.told
    lines = (tmp_path / "images.evaluations.jsonl").read_text().splitlines()
    before, after = (json.loads(line)["metrics"] for line in lines)
    assert before == after
