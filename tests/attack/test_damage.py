"""Files that are damaged on the disk: what is whole is used, the rest is named, nothing goes on silently."""

import contextlib
import hashlib
import io
import json
import logging
import os
import random
import re
import runpy
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image
from rich.console import Console
from torch import Tensor

from genbench import app, cli
from genbench.data import Digits, ImageFolder, prepare
from genbench.errors import Damaged
from genbench.progress import Progress
from tests.conftest import ROOT, Make
from tests.toys import TINY

QUIET = Progress(Console(quiet=True))
SMALL = (
    *(word for word in TINY if not word.startswith(("metrics.", "budget."))),
    *("metrics=none", "budget.images=256", "trainer.checkpoint_every_seconds=1e-9"),
)
Harm = Callable[[Path], object]


class Done(NamedTuple):
    """The end of a command, and all that it said."""

    code: int
    told: str


def command(cache: Path, *words: object) -> Done:
    """`python main.py ...` or `genbench ...` in this process, which has loaded torch, and without a trace."""
    root, out = logging.getLogger(), io.StringIO()
    before = (root.handlers[:], root.level)
    with (
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(record=True) as caught,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
    ):
        for name in ("HYDRA_FULL_ERROR", "OMP_WAIT_POLICY"):
            patch.setenv(name, os.environ.get(name, ""))
        patch.setenv("GENBENCH_CACHE", str(cache))
        patch.setattr(sys, "argv", [str(word) for word in words])
        warnings.simplefilter("always")
        try:
            runpy.run_path(str(ROOT / words[0]), run_name="__main__") if words[0] == "main.py" else cli.main()
            code: object = 0
        except SystemExit as ended:
            code = ended.code or 0
    root.handlers[:], root.level = before
    return Done(int(str(code)), "\n".join([out.getvalue(), *(str(warning.message) for warning in caught)]))


def train(folder: Path) -> Done:
    """The command of the run in `folder`."""
    return command(folder / "cache", "main.py", *SMALL, f"runs_dir={folder / 'runs'}")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that is finished, to be copied; its two checkpoints are one step apart."""
    folder = tmp_path_factory.mktemp("finished")
    assert train(folder).code == 0
    return folder


@pytest.fixture
def killed(finished: Path, tmp_path: Path) -> Path:
    """A folder with a run that looks as if it had been killed at its end, after its last checkpoint."""
    shutil.copytree(finished, tmp_path / "killed")
    run = only_run(tmp_path / "killed")
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"status": "running"}))
    (run / "result.json").unlink()
    return tmp_path / "killed"


def flip(path: Path, seed: int = 0) -> None:
    """Flip one bit somewhere in a file."""
    content, bit = bytearray(path.read_bytes()), random.Random(seed).randrange(8 * path.stat().st_size)
    content[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(content)


def flip_in_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def blank(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def misplace(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").touch()


def plug(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def rewrite(change: Callable[[dict], object]) -> Harm:
    """A change of what a checkpoint holds, which its checksums do not show."""

    def harm(path: Path) -> None:
        state = torch.load(path, weights_only=True)
        changed = change(state)
        torch.save(state if changed is None else changed, path)

    return harm


def rename_weights(state: dict) -> None:
    state["model"] = {f"other.{name}": value for name, value in state["model"].items()}


def reshape(state: dict) -> None:
    state["ema"] = {name: torch.zeros(3, 3) for name in state["ema"]}


def shorten(state: dict) -> None:
    """Torch writes beyond the end of such a tensor."""
    state["optimizers"]["net"]["state"][0]["exp_avg"] = torch.zeros(2)


OF_TRAINING: dict[str, Harm] = {
    "without its step": rewrite(lambda state: state.pop("step") and None),
    "of no number of images": rewrite(lambda state: state.update(images_seen=-64)),
    "of no place in the log": rewrite(lambda state: state.update(tracker={})),
    "with a junk window": rewrite(lambda state: state.update(window={"net/loss": 3})),
    "with a junk optimizer": rewrite(lambda state: state.update(optimizers={"net": [1]})),
    "with a short optimizer": rewrite(shorten),
}
"""What a training alone reads of a checkpoint."""
HARMS: dict[str, Harm] = {
    "cut": cut,
    "zeroed": blank,
    "a bit flipped": flip_in_the_middle,
    "a folder": misplace,
    "a pipe": plug,
    "a list": rewrite(lambda state: [state]),
    "of another model": rewrite(rename_weights),
    "of other shapes": rewrite(reshape),
}


def checkpoint(run: Path) -> dict[str, Tensor]:
    return torch.load(run / "checkpoints" / "last.pt", weights_only=True)["ema"]


def only_run(folder: Path) -> Path:
    (found,) = (folder / "runs").glob("*/*/run.json")
    return found.parent


def check_resumed(killed: Path, finished: Path, name: str) -> None:
    """The run in `killed`, whose last.pt is damaged, goes on from previous.pt to the same weights."""
    run, expected = only_run(killed), checkpoint(only_run(finished))
    done = train(killed)
    assert done.code == 0, (name, done.told)
    assert "last.pt cannot be used" in done.told, name
    assert "previous.pt is taken in its place" in done.told, name
    assert "Going on from 192 images" in done.told, name
    assert all(torch.equal(value, expected[key]) for key, value in checkpoint(run).items()), name
    assert torch.load(run / "checkpoints" / "previous.pt", weights_only=True)["images_seen"] == 192


def test_a_damaged_last_checkpoint_never_costs_the_one_before(
    killed: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run goes on from previous.pt, which stays until there is a whole one after it."""
    checkpoints = only_run(killed) / "checkpoints"
    sound = (checkpoints / "previous.pt").read_bytes()
    flip_in_the_middle(checkpoints / "last.pt")

    def fail(*_: object) -> None:
        raise OSError("the machine fails here")

    with monkeypatch.context() as broken:
        broken.setattr(torch, "save", fail)
        with contextlib.suppress(OSError):
            train(killed)
    assert (checkpoints / "previous.pt").read_bytes() == sound
    check_resumed(killed, finished, "a bit flipped")


@pytest.mark.slow
@pytest.mark.parametrize("name", HARMS | OF_TRAINING)
def test_a_run_goes_on_from_the_one_before_whatever_the_damage(
    name: str, killed: Path, finished: Path
) -> None:
    (HARMS | OF_TRAINING)[name](only_run(killed) / "checkpoints" / "last.pt")
    check_resumed(killed, finished, name)


def test_every_reader_takes_the_one_before_whatever_the_damage(finished: Path, tmp_path: Path) -> None:
    for name, harm in HARMS.items():
        run = tmp_path / name
        shutil.copytree(only_run(finished), run)
        harm(run / "checkpoints" / "last.pt")
        weights, key = ("raw", "model") if name == "of another model" else ("ema", "ema")
        expected = torch.load(run / "checkpoints" / "previous.pt", weights_only=True)[key]
        with pytest.warns(UserWarning, match=r"last.pt cannot be used .*previous.pt is taken in its place"):
            found = app.load(run, device="cpu", weights=weights).state_dict()
        assert all(torch.equal(value, expected[entry]) for entry, value in found.items()), name


def test_a_run_without_a_whole_checkpoint_ends_in_one_message(killed: Path) -> None:
    folder = only_run(killed) / "checkpoints"
    for name in ("last.pt", "previous.pt"):
        flip_in_the_middle(folder / name)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    done = train(killed)
    assert done.code == 1
    assert "last.pt cannot be used (the checksum" in done.told
    assert "previous.pt cannot be used (the checksum" in done.told
    assert "rerun=true" in done.told
    assert "Traceback" not in done.told
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def weights_of(run: Path) -> list[Tensor]:
    return [value.clone() for value in app.load(run, device="cpu").state_dict().values()]


def flips_that_pass(made: Make, folder: Path, seeds: range) -> list[int]:
    """Flips of one bit in a checkpoint that load as other weights than were saved."""
    run = folder / "run"
    shutil.copytree(made("network.width=8", "network.blocks=1"), run)
    last, silent = run / "checkpoints" / "last.pt", []
    content, expected = last.read_bytes(), weights_of(run)
    for seed in seeds:
        last.write_bytes(content)
        flip(last, seed)
        try:
            found = weights_of(run)
        except Damaged:
            continue
        if not all(map(torch.equal, found, expected)):
            silent.append(seed)
    return silent


def test_a_flipped_bit_is_noticed_or_harmless(made: Make, tmp_path: Path) -> None:
    assert flips_that_pass(made, tmp_path, range(10)) == []


@pytest.mark.slow
def test_hundreds_of_flipped_bits_are_noticed_or_harmless(made: Make, tmp_path: Path) -> None:
    assert flips_that_pass(made, tmp_path, range(10, 800)) == []


def test_leftovers_of_killed_processes_go_and_those_of_live_ones_stay(killed: Path) -> None:
    run, stores = only_run(killed), killed / "cache" / "data"
    for name in ("last.pt", "previous.pt"):
        blank(run / "checkpoints" / name)  # a run that is refused leaves none either, and takes no time
    blank(next(stores.glob("*/train.images")))
    with subprocess.Popen(["sleep", "0"]) as gone:
        pass
    with subprocess.Popen(["sleep", "600"]) as alive, FileLock(stores / "alive.lock"):
        for name in ("gone", "alive"):
            (stores / f"{name}.part").mkdir()
        for pid in (gone.pid, alive.pid):
            (run / f".run.json.{pid}.tmp").touch()
            (run / "checkpoints" / f".last.pt.{pid}.tmp").touch()
        assert train(killed).code == 1
        with pytest.warns(UserWarning, match="is made anew"):
            contents(killed / "cache")
        alive.kill()
    left = {path.name for path in killed.rglob("*") if path.suffix in (".tmp", ".part")}
    assert left == {"alive.part", f".run.json.{alive.pid}.tmp", f".last.pt.{alive.pid}.tmp"}


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


def contents(cache: Path) -> list[Tensor]:
    """All that the set of digits holds, read through a cache and copied out of it."""
    data = prepare(Digits(), cache=cache, progress=QUIET)
    return [tensor.clone() for split in (data.train, data.test) for tensor in (split.images, split.labels)]


@pytest.mark.parametrize("harm", STORE_HARMS.values(), ids=STORE_HARMS)
def test_a_damaged_image_store_is_made_anew_with_a_warning(harm: Harm, tmp_path: Path) -> None:
    expected = contents(tmp_path)
    harm(next((tmp_path / "data").glob("*/header.json")).parent)
    with pytest.warns(UserWarning, match=r"is damaged .* is made anew"):
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
