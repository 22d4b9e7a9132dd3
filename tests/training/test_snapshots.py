"""Snapshots during a training: when they are taken, what is rebuilt of them, and which files are refused."""

import pickle
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from genbench.errors import Damaged
from genbench.families.diffusion import Diffusion
from genbench.training.ema import learned_weights
from genbench.training.power_average import exponent_of, share_of_step
from genbench.training.recipe_checks import check_snapshots
from genbench.training.snapshots import Snapshots, set_average, snapshot_bytes, times
from tests.toys import toy_model

STEPS, BATCH = 64, 4


def moved(model: Diffusion, step: int) -> None:
    """A step of a path of weights that follows from its number."""
    rng = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=rng))


def trained(folder: Path, *, count: int = 16, stop: int = STEPS) -> tuple[Diffusion, Snapshots]:
    """A toy and its snapshots after some steps of a training of STEPS."""
    model = toy_model()
    snapshots = Snapshots(model, count, folder)
    go_on(model, snapshots, range(1, stop + 1))
    return model, snapshots


def go_on(model: Diffusion, snapshots: Snapshots, steps: range) -> None:
    for k in steps:
        moved(model, k)
        snapshots.step(BATCH * k, k / STEPS, finished=k == STEPS, pause=nullcontext)


def tracked(std: float) -> list[torch.Tensor]:
    """The average of the same path, tracked directly in float64."""
    model = toy_model()
    averages = [p.detach().double() for p in model.parameters()]
    for k in range(1, STEPS + 1):
        moved(model, k)
        share = share_of_step(exponent_of(std), images=BATCH, images_seen=BATCH * k)
        averages = [a + share * (p.detach() - a) for a, p in zip(averages, model.parameters(), strict=True)]
    return averages


def rebuild(checkpoints: Path, std: float = 0.08) -> Diffusion:
    model = toy_model()
    set_average(model, checkpoints, std, images_seen=BATCH * STEPS)
    return model


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    trained(folder)
    return folder


def test_they_are_equally_spaced_and_the_last_one_is_at_the_end(checkpoints: Path) -> None:
    assert times(checkpoints) == list(range(16, BATCH * STEPS + 1, 16))
    assert (checkpoints / "snapshot-16.pt").stat().st_size > snapshot_bytes(toy_model())


@pytest.mark.parametrize("std", [0.07, 0.15])
def test_the_average_that_is_rebuilt_is_the_one_that_was_tracked(checkpoints: Path, std: float) -> None:
    rebuilt = rebuild(checkpoints, std)
    for found, exact in zip(rebuilt.parameters(), tracked(std), strict=True):
        # Of sixteen snapshots: the law for more of them is in test_power_average.
        assert float((found.detach() - exact).norm() / exact.norm()) < 2e-2


def test_weights_that_never_moved_come_back_exactly(tmp_path: Path) -> None:
    model = toy_model(seed=3)
    snapshots = Snapshots(model, 8, tmp_path / "checkpoints")
    for k in range(1, 9):
        snapshots.step(k, k / 8, finished=k == 8, pause=nullcontext)
    rebuilt = toy_model(seed=4)
    set_average(rebuilt, tmp_path / "checkpoints", 0.2, images_seen=8)
    for found, exact in zip(rebuilt.parameters(), model.parameters(), strict=True):
        assert torch.equal(found, exact)


def test_a_resumed_training_writes_what_an_uninterrupted_one_does(checkpoints: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoints"
    model, snapshots = trained(folder, stop=22)
    state = {"snapshots": snapshots.state()["snapshots"]}
    torch.save(state, tmp_path / "state.pt")
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    go_on(model, snapshots, range(23, 40))  # lost: the training is resumed from its 22nd step
    again, resumed = toy_model(), Snapshots(toy_model(), 16, folder)
    again.load_state_dict(weights, strict=False)
    resumed.weights = learned_weights(again)
    resumed.load(torch.load(tmp_path / "state.pt", weights_only=True))
    go_on(again, resumed, range(23, STEPS + 1))
    assert times(folder) == times(checkpoints)
    for images in times(folder):
        one, two = (
            torch.load(place / f"snapshot-{images}.pt", weights_only=True) for place in (folder, checkpoints)
        )
        for std in ("0.05", "0.1"):
            pairs = zip(one["averages"][std].values(), two["averages"][std].values(), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs)


def test_snapshots_that_a_resumed_training_did_not_take_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    model, snapshots = trained(folder, stop=8)
    shutil.copy(folder / "snapshot-16.pt", folder / "snapshot-9999.pt")
    go_on(model, snapshots, range(9, 13))
    assert times(folder) == [16, 32, 48]


def test_a_checkpoint_without_averages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match=r"no averages of trainer\.ema_snapshots"):
        Snapshots(toy_model(), 4, tmp_path).load({})


class Evil:
    """An object that would make a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return open, ("evil", "w")


def hostile(kind: str, path: Path) -> None:
    """Put something else in the place of the snapshot at a path."""
    state = torch.load(path, weights_only=True)
    weights = state["averages"]["0.05"]
    name = next(iter(weights))
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Evil()))
    elif kind == "archive":
        torch.save({"images_seen": 16, "averages": Evil()}, path)
    elif kind == "link":
        path.unlink()
        path.symlink_to("/etc/hostname")
    elif kind == "bits":
        content = bytearray(path.read_bytes())
        content[content.index(weights[name].numpy().tobytes())] ^= 1
        path.write_bytes(bytes(content))
    else:
        changed = {"time": {"images_seen": 17}, "count": {"images_seen": -1}, "none": {"averages": {}}}
        weights[name] = {"shape": weights[name][:1], "nan": weights[name] * torch.nan}.get(
            kind, weights[name]
        )
        torch.save(state | changed.get(kind, {}), path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("pickle", "incomplete, damaged"),
        ("archive", "other objects than tensors"),
        ("link", "link to a place outside"),
        ("bits", "the checksum of its record"),
        ("time", "was taken after 17 images, its name says 16"),
        ("count", "images_seen is -1"),
        ("none", "no averages of 0.05 and 0.1"),
        ("shape", "another network's"),
        ("nan", "not finite"),
    ],
)
def test_a_hostile_file_is_refused_and_none_of_its_code_is_run(
    checkpoints: Path, tmp_path: Path, kind: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run" / "checkpoints"
    shutil.copytree(checkpoints, folder)
    hostile(kind, folder / "snapshot-16.pt")
    with pytest.raises(Damaged, match=message):
        rebuild(folder)
    assert not (tmp_path / "evil").exists()


def test_a_run_without_snapshots_and_a_training_that_cannot_have_them_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds 0 snapshots.*trainer\.ema_snapshots=32"):
        rebuild(tmp_path)
    with pytest.raises(ValueError, match=r"trainer\.ema_snapshots is 257; it must be from 1 to 256"):
        check_snapshots(toy_model(), 257)
    check_snapshots(toy_model(), None)
