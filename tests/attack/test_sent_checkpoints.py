"""Checkpoints of others whose checksums are right and whose contents are not what a training writes."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from genbench.errors import Damaged
from genbench.training import checkpoint_contents
from genbench.training.checkpoint import CheckpointStore
from genbench.training.step import restore
from tests.toys import toy_model

ADAM = partial(torch.optim.Adam, lr=1e-3, fused=True)
CPU = torch.device("cpu")


def trained(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """An optimizer that made a step."""
    optimizer = ADAM(parameters)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer


def honest() -> dict:
    """Return what a training of the toy model saves, as far as its reader looks."""
    model = toy_model()
    return {
        "model": model.state_dict(),
        "ema": model.state_dict(),
        "optimizers": {phase: trained(model.phase_parameters(phase)).state_dict() for phase in model.phases},
        "step": 1,
        "images_seen": 64,
        "seconds": 1.0,
        "fitting_seconds": 0.0,
        "finished": False,
        "data_key": "",
        "window": {"net/loss": torch.ones(2)},
        "tracker": {"position": 0},
        "images_by_phases": {("net",): 64},
        "skips": {"total": 0, "in_a_row": 0},
    }


def optimizer_of(state: dict) -> dict:
    return next(iter(state["optimizers"].values()))


def replace_moment(state: dict, value: object) -> None:
    optimizer_of(state)["state"][0]["exp_avg"] = value


HARMS: dict[str, Callable[[dict], object]] = {
    "a moment that broadcasts": lambda state: replace_moment(state, torch.zeros(1, 1, 1, 1)),
    "a moment of one number": lambda state: replace_moment(state, torch.zeros(())),
    "a moment that is none": lambda state: replace_moment(state, "text"),
    "a moment without memory": lambda state: replace_moment(
        state, torch.zeros_like(optimizer_of(state)["state"][0]["exp_avg"], device="meta")
    ),
    "a moment more": lambda state: optimizer_of(state)["state"][0].update(extra=torch.zeros(1)),
    "no moment": lambda state: optimizer_of(state)["state"][0].pop("exp_avg"),
    "a step of many": lambda state: optimizer_of(state)["state"][0].update(step=torch.zeros(3)),
    "state of no parameter": lambda state: optimizer_of(state)["state"].update({10_000: {}}),
    "twice a parameter": lambda state: optimizer_of(state)["param_groups"][0]["params"].__setitem__(1, 0),
    "other skips": lambda state: state.update(skips={"x": 1}),
    "skips of a phase that is none": lambda state: state["skips"].update(unmoved={"x": 1}),
    "skips of a phase in text": lambda state: state["skips"].update(unmoved={"net": "1"}),
    "skips of text": lambda state: state.update(skips={"total": "1", "in_a_row": 0}),
    "phases of text": lambda state: state.update(images_by_phases={"net": 64}),
    "phases of another model": lambda state: state.update(images_by_phases={("other",): 64}),
    "seconds without an end": lambda state: state.update(seconds=float("inf")),
    "more steps than can be": lambda state: state.update(step=10**30),
    "a moment of another precision": lambda state: replace_moment(
        state, optimizer_of(state)["state"][0]["exp_avg"].double()
    ),
    "a weight that is not a number": lambda state: state["model"].update(
        {name: value / 0 for name, value in state["model"].items() if name.endswith("weight")}
    ),
    "a window without a name": lambda state: state.update(window={3: torch.ones(2)}),
    "a window that no memory holds": lambda state: state.update(
        window={"net/loss": torch.zeros(1).expand(10**12)}
    ),
    "an empty window": lambda state: state.update(window={"net/loss": torch.zeros(0)}),
}


@pytest.mark.parametrize("name", HARMS)
def test_the_one_before_is_taken_where_the_last_is_not_what_a_training_writes(
    name: str, tmp_path: Path
) -> None:
    store, sent = CheckpointStore(tmp_path), honest()
    HARMS[name](sent)
    store.save(honest() | {"images_seen": 32})
    store.save(sent)
    with pytest.warns(UserWarning, match=r"last.pt cannot be used .*previous.pt is used"):
        found = store.load(CPU, checkpoint_contents.resumable(toy_model(), ADAM))
    assert found is not None
    assert found["images_seen"] == 32


def test_what_a_training_writes_is_taken(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for leave_out in ((), ("skips", "images_by_phases", "fitting_seconds")):  # as earlier versions did
        store.save({key: value for key, value in honest().items() if key not in leave_out})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert store.load(CPU, checkpoint_contents.resumable(toy_model(), ADAM)) is not None


def test_an_optimizer_steps_in_memory_of_its_own(tmp_path: Path) -> None:
    """One number seen as many times as a parameter has entries has the right shape, and 4 bytes."""
    weight = nn.Parameter(torch.zeros(64, 16, 3, 3).contiguous(memory_format=torch.channels_last))
    state = trained([weight]).state_dict()
    expected = {name: value.clone() for name, value in state["state"][0].items()}
    for name in ("exp_avg", "exp_avg_sq"):
        state["state"][0][name] = expected[name].flatten()[:1].clone().expand(64, 16, 3, 3)
    torch.save(state, tmp_path / "state.pt")
    fresh = ADAM([weight])
    restore(fresh, torch.load(tmp_path / "state.pt", weights_only=True))
    for name, value in fresh.state[weight].items():
        assert torch.equal(value, expected[name])
        assert value.untyped_storage().nbytes() == value.nbytes
        assert value.stride() == (weight.stride() if value.dim() else ())


def test_settings_of_an_optimizer_are_those_of_the_configuration() -> None:
    weight = nn.Parameter(torch.zeros(3))
    state = trained([weight]).state_dict()
    state["param_groups"][0] |= {"amsgrad": True, "lr": 1e9, "fused": False}
    fresh = ADAM([weight])
    fresh.param_groups[0]["initial_lr"] = 1e-3
    restore(fresh, state)
    group = fresh.param_groups[0]
    assert (group["amsgrad"], group["lr"], group["initial_lr"], group["fused"]) == (False, 1e-3, 1e-3, True)


def test_a_checkpoint_that_is_a_link_out_of_its_run_is_not_read(tmp_path: Path) -> None:
    """One inside of it is."""
    others, mine = CheckpointStore(tmp_path / "other" / "checkpoints"), tmp_path / "run" / "checkpoints"
    others.save(honest())
    mine.mkdir(parents=True)
    (mine / "last.pt").symlink_to(others.last)
    store = CheckpointStore(mine)
    with pytest.raises(Damaged, match=r"last.pt is a link to a place outside of .*run"):
        store.load(CPU)
    others.last.rename(mine / "kept.pt")
    (mine / "last.pt").unlink()
    (mine / "last.pt").symlink_to("kept.pt")
    assert store.load(CPU) is not None
