"""Checkpoints that are damaged: what is whole is used, the rest is named, nothing goes on silently."""

import contextlib
import json
import shutil
import subprocess
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock
from torch import Tensor

from genbench import app
from genbench.errors import Damaged
from tests.attack.harm import (
    Done,
    Harm,
    blank,
    command,
    contents,
    cut,
    flip,
    flip_in_the_middle,
    misplace,
    plug,
)
from tests.conftest import Make
from tests.toys import TINY

SMALL = (
    *(word for word in TINY if not word.startswith(("metrics.", "budget."))),
    *("metrics=none", "budget.images=256", "trainer.checkpoint_every_seconds=1e-9"),
)


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


def halve(state: dict) -> None:
    """Loaded, they would be rounded numbers of the right precision."""
    for key in ("model", "ema"):
        state[key] = {name: value.half() for name, value in state[key].items()}


def quantize(state: dict) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch will not have them for ever
        state["ema"] = {
            name: torch.quantize_per_tensor(value.float(), 0.1, 0, torch.qint8)
            for name, value in state["ema"].items()
        }


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("samples.npy", b"no array")


def spoil(state: dict) -> None:
    """One weight of each set is not a number."""
    for key in ("model", "ema"):
        next(iter(state[key].values())).view(-1)[0] = float("nan")


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
"""Parts of a checkpoint that a training alone reads."""
HARMS: dict[str, Harm] = {
    "cut": cut,
    "zeroed": blank,
    "a bit flipped": flip_in_the_middle,
    "a folder": misplace,
    "a pipe": plug,
    "a list": rewrite(lambda state: [state]),
    "of another model": rewrite(rename_weights),
    "of other shapes": rewrite(reshape),
    "of another precision": rewrite(halve),
    "with a weight that is not a number": rewrite(spoil),
    "of quantized weights": rewrite(quantize),
    "of sparse weights": rewrite(
        lambda state: state.update(ema={name: value.to_sparse() for name, value in state["ema"].items()})
    ),
    "a text": lambda path: path.write_text("no checkpoint"),
    "an archive of another kind": archive,
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
    assert "previous.pt is used instead" in done.told, name
    assert "Resuming at 192 images" in done.told, name
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
        with pytest.warns(UserWarning, match=r"last.pt cannot be used .*previous.pt is used") as told:
            found = app.load(run, device="cpu", weights=weights).state_dict()
        assert {str(one.message)[:12] for one in told} <= {"the checkpoi", "the training"}, (
            name
        )  # not torch's
        assert all(torch.equal(value, expected[entry]) for entry, value in found.items()), name


def test_best_weights_are_refused_in_one_message_whatever_the_damage(finished: Path, tmp_path: Path) -> None:
    for name, harm in HARMS.items():
        if name == "of another model":  # of its raw weights, which nobody reads there
            continue
        run = tmp_path / name
        shutil.copytree(only_run(finished), run)
        best = run / "checkpoints" / "best.pt"
        shutil.copy(run / "checkpoints" / "last.pt", best)
        harm(best)
        with pytest.raises(Damaged, match=r"^the checkpoint .*best.pt cannot be used \(.*\): ") as told:
            app.load(run, device="cpu", weights="best")
        assert "\n" not in str(told.value), name
        app.load(run, device="cpu")  # the last ones are whole


def test_a_run_without_a_whole_checkpoint_ends_in_one_message(killed: Path) -> None:
    folder = only_run(killed) / "checkpoints"
    for name in ("last.pt", "previous.pt"):
        flip_in_the_middle(folder / name)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    done = train(killed)
    assert done.code == 2
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
    assert flips_that_pass(made, tmp_path, range(6)) == []


@pytest.mark.slow
def test_hundreds_of_flipped_bits_are_noticed_or_harmless(made: Make, tmp_path: Path) -> None:
    assert flips_that_pass(made, tmp_path, range(6, 800)) == []


def test_leftovers_of_killed_processes_go_and_those_of_live_ones_stay(killed: Path) -> None:
    run, stores = only_run(killed), killed / "cache" / "data"
    for name in ("last.pt", "previous.pt"):
        blank(run / "checkpoints" / name)  # a run that is refused leaves none either, and takes no time
    blank(next(stores.glob("*/train.images")))
    with subprocess.Popen(["sleep", "0"]) as gone:
        pass
    with (
        subprocess.Popen(["sleep", "600"]) as alive,
        contextlib.closing(SimpleNamespace(close=alive.kill)),  # also where the test fails
        FileLock(stores / "alive.lock"),
    ):
        for name in ("gone", "alive"):
            (stores / f"{name}.part").mkdir()
        for pid in (gone.pid, alive.pid):
            (run / f".run.json.{pid}.tmp").touch()
            (run / "checkpoints" / f".last.pt.{pid}.tmp").touch()
        assert train(killed).code == 2
        with pytest.warns(UserWarning, match="is rebuilt|is computed again"):
            contents(killed / "cache")
    left = {path.name for path in killed.rglob("*") if path.suffix in (".tmp", ".part")}
    assert left == {"alive.part", f".run.json.{alive.pid}.tmp", f".last.pt.{alive.pid}.tmp"}
