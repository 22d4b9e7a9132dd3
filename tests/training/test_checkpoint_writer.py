"""Checkpoints written aside: the training goes on, and files have the state of when they were begun."""

import errno
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from genbench.training import checkpoint_writer
from genbench.training.checkpoint import CheckpointStore
from genbench.training.checkpoint_writer import CheckpointWriter, copy_to_host
from tests.training.test_loop import run

PATIENCE = 30.0  # seconds until a test that waits for a thread gives up


class SlowStore:
    """Keeps the states that it is given, each once it is allowed to."""

    def __init__(self) -> None:
        self.allowed, self.states = threading.Event(), list[dict[str, Any]]()

    def save(self, state: dict[str, Any]) -> None:
        assert self.allowed.wait(PATIENCE)
        self.states.append(state)


def nothing() -> None:
    """Nothing follows a write."""


def test_the_training_goes_on_and_the_file_has_the_state_of_before() -> None:
    store, weight, done = SlowStore(), torch.zeros(3), list[int]()
    with CheckpointWriter() as writer:
        writer.write({"weights": {"w": weight}, "counts": [1]}, store.save, lambda: done.append(1))
        weight += 1  # as the next step does
        assert done == []
        store.allowed.set()
    assert done == [1]
    assert store.states[0]["counts"] == [1]
    assert store.states[0]["weights"]["w"].tolist() == [0, 0, 0]


def test_a_second_write_waits_for_the_first() -> None:
    store, order = SlowStore(), list[str]()
    with CheckpointWriter() as writer:
        writer.write({"n": 1}, store.save, lambda: order.append("first"))
        threading.Timer(0.05, store.allowed.set).start()
        writer.write({"n": 2}, store.save, lambda: order.append("second"), aside=False)
        assert order == ["first", "second"]
    assert [state["n"] for state in store.states] == [1, 2]


def full(state: dict[str, Any]) -> None:
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, "No space left on device", "last.pt")


def test_what_the_thread_raises_is_raised_once_by_the_next_call() -> None:
    done = list[int]()
    writer = CheckpointWriter()
    writer.write({"n": 1}, full, lambda: done.append(1))
    writer.join()
    with pytest.raises(OSError, match="No space left"):
        writer.check()
    writer.check()
    assert done == []


def test_a_failure_while_the_context_ends_is_raised() -> None:
    with pytest.raises(OSError, match="No space left"), CheckpointWriter() as writer:
        writer.write({"n": 1}, full, nothing)


def test_the_error_that_ends_a_training_is_the_one_that_is_raised() -> None:
    writer = CheckpointWriter()

    def training() -> None:
        with writer:
            writer.write({"n": 1}, full, nothing)
            raise FloatingPointError

    with pytest.raises(FloatingPointError):
        training()
    assert writer.thread is None  # it was waited for


def test_without_memory_for_a_copy_the_state_itself_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_writer, "free_memory", lambda: 8)
    state, saved = {"w": torch.zeros(4)}, list[dict[str, Any]]()
    writer = CheckpointWriter()
    writer.write(state, saved.append, nothing)
    assert saved[0] is state


def test_a_copy_has_the_values_layouts_classes_and_shared_tensors_of_the_state() -> None:
    network = torch.nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
    weights = network.state_dict()
    state = {"model": weights, "ema": weights, "stages": {("a", "b"): 3}, "betas": (0.9, 0.99)}
    copied, arrived = copy_to_host(state)
    arrived()
    weight = copied["model"]["weight"]
    assert torch.equal(weight, network.weight)
    assert weight.stride() == network.weight.stride()
    assert weight.data_ptr() != network.weight.data_ptr()
    assert copied["ema"]["weight"] is weight
    assert type(copied["model"]) is type(weights)
    assert vars(copied["model"]) == vars(weights)
    assert (copied["stages"], copied["betas"]) == ({("a", "b"): 3}, (0.9, 0.99))


class Pair(NamedTuple):
    """A tuple whose class takes its fields one by one."""

    weight: torch.Tensor
    name: str


def test_a_named_tuple_and_a_list_are_copied_with_their_tensors() -> None:
    pair = Pair(torch.ones(2), "w")
    copied, _ = copy_to_host({"pair": pair, "list": [pair.weight]})
    pair.weight.zero_()
    assert type(copied["pair"]) is Pair
    assert (copied["pair"].weight.tolist(), copied["pair"].name) == ([1, 1], "w")
    assert copied["list"][0] is copied["pair"].weight


def test_a_full_disk_ends_a_training_that_never_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CheckpointStore, "save", lambda self, state: full(state))
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path, checkpoint_every_seconds=1e-9)


def test_a_training_makes_a_step_while_a_checkpoint_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first checkpoint, of one step, is not written before the second step is in the log."""
    write, seen, lines = CheckpointStore.save, list[int](), list[int]()
    log = tmp_path / "metrics.jsonl"

    def save(self: CheckpointStore, state: dict[str, Any]) -> None:
        for _ in range(int(PATIENCE * 100)):
            lines.append(log.read_bytes().count(b"\n"))
            if seen or lines[-1] >= 2:
                break
            time.sleep(0.01)
        seen.append(state["images_seen"])
        write(self, state)

    monkeypatch.setattr(CheckpointStore, "save", save)
    trained = run(tmp_path, checkpoint_every_seconds=1e-9)
    assert max(lines) >= 2
    assert seen[0] == 16
    assert seen[-1] == trained.images_seen == trained.saved_images == 512
