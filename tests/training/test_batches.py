"""Batches that a thread gathers ahead are those of the loop itself, and so is all that follows from them."""

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from genbench.contract.fake_cuda import CUDA, reading
from genbench.data import Split
from genbench.errors import Damaged
from genbench.generator import Generator
from genbench.runtime.context import Context
from genbench.runtime.processes import Processes
from genbench.training import batches
from genbench.training.batches import Batches, is_gathered_ahead
from tests.test_contract import build
from tests.toys import toy_model
from tests.training.test_loop import Staged, TwoPhases, images, run, same

CPU = torch.device("cpu")


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gather by the thread on the CPU too."""
    monkeypatch.setattr(batches, "is_gathered_ahead", lambda split, device: True)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("genbench-batches")]


def labelled(n: int = 40, side: int = 4) -> Split:
    rng = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (n, 1, side, side), generator=rng, dtype=torch.uint8)
    return Split(pixels, torch.arange(n) % 3)


class Recorded(Split):
    """A split that records which images were asked for and by which thread, and fails at one of the calls."""

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__(images().stored_images, None)
        self.asked: list[tuple[str, int]] = []
        self.fails_at = fails_at

    def gather(self, index: Tensor, device: torch.device) -> tuple[Tensor, Tensor | None]:
        self.asked.append((threading.current_thread().name, len(index)))
        if len(self.asked) == self.fails_at:
            raise Damaged("images.bin was changed while this process read images from it")
        return super().gather(index, device)


TRAININGS: dict[str, tuple[Callable[[], Generator], Split, dict[str, Any]]] = {
    "two phases": (TwoPhases, images(), {}),
    "labels, in parts": (partial(toy_model, 3), labelled(), {"accumulate": 4}),
    "stages": (Staged, images(), {}),
    "gan": (partial(build, "model=gan", "conditional=true"), labelled(side=8), {}),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_is_the_same_bit_for_bit_with_a_stop_and_a_resume(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, split, settings = TRAININGS[name]
    torch.manual_seed(0)
    plain = run(tmp_path / "plain", model=make(), split=split, budget=160, **settings)
    monkeypatch.setattr(batches, "is_gathered_ahead", lambda split, device: True)
    torch.manual_seed(0)
    whole = run(tmp_path / "ahead", model=make(), split=split, budget=160, **settings)
    torch.manual_seed(0)
    parts = run(tmp_path / "parts", model=make(), split=split, stop_at=96, budget=160, **settings)
    assert not parts.finished
    parts = run(tmp_path / "parts", model=make(), split=split, budget=160, **settings)
    assert same(plain, whole)
    assert same(plain, parts)
    log = "metrics.jsonl"
    curves = [values_of_losses(tmp_path / folder / log) for folder in ("plain", "ahead", "parts")]
    assert curves[0] == curves[1] == curves[2]
    assert threads() == []


def values_of_losses(path: Path) -> list[str]:
    """The losses of a log, as they are written."""
    entries = [line.partition('loss": ')[2].partition(",")[0] for line in path.read_text().splitlines()]
    assert any(entries)
    return entries


def drawn(source: Batches, steps: list[tuple[int, int]]) -> list[Tensor]:
    """The images and labels of steps, each with the random numbers of its own seed."""
    found = list[Tensor]()
    for seen, count in steps:
        torch.manual_seed(seen)
        for x, y in source.of_step(seen, count):
            assert isinstance(y, Tensor)
            found += [x, y]
    return found


@pytest.mark.usefixtures("ahead")
def test_a_wrong_guess_changes_nothing_and_each_process_gathers_its_own_rows() -> None:
    steps = [(0, 2), (32, 2), (64, 1), (80, 1), (32, 2), (400, 3)]
    for processes in (Processes(), replace_count(1, 2)):
        context = replace(Context(CPU, seed=5), processes=processes)
        make = partial(Batches, toy_model(3), labelled(), 16, context, flip=True)
        with patch.object(batches, "is_gathered_ahead", is_gathered_ahead):
            plain = drawn(make(), steps)
        with make() as source:
            assert source.thread is not None
            assert all(map(torch.equal, drawn(source, steps), plain))
        assert len(plain[0]) == 16 // processes.count


def replace_count(index: int, count: int) -> Processes:
    """The place of one of several processes, which are not joined: rows are all that is asked for."""
    processes = Processes()
    processes.index, processes.count = index, count
    return processes


@pytest.mark.usefixtures("ahead")
def test_each_step_is_gathered_once_by_one_thread_that_is_a_step_ahead(tmp_path: Path) -> None:
    split = Recorded()
    run(tmp_path, split=split, budget=80, model=OnePlayer())
    assert split.asked == [("genbench-batches_0", 16)] * 6  # five steps, and one that did not come


class OnePlayer(TwoPhases):
    """One phase, so that a step is a batch."""

    phases: tuple[str, ...] = ("disc",)  # type: ignore[assignment]  # of the toy's two


@pytest.mark.usefixtures("ahead")
def test_what_gathering_raises_ends_the_training_with_its_own_message(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match="was changed while this process read"):
        run(tmp_path, split=Recorded(fails_at=3), model=OnePlayer())
    assert threads() == []


@pytest.mark.usefixtures("ahead")
def test_what_gathering_raises_for_a_step_that_does_not_come_is_no_failure(tmp_path: Path) -> None:
    assert run(tmp_path, split=Recorded(fails_at=6), budget=80, model=OnePlayer()).finished


@pytest.mark.usefixtures("ahead")
def test_the_thread_ends_with_an_interrupted_training(tmp_path: Path) -> None:
    def interrupt(model: Generator, images_seen: int) -> None:
        assert threads()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, on_sample=interrupt, sample_every_images=64)
    assert threads() == []


def test_batches_are_gathered_ahead_for_a_gpu_alone_and_pinned_on_their_way() -> None:
    pinned = list[torch.Size]()

    def pin_memory(self: Tensor) -> Tensor:
        pinned.append(self.shape)
        return self

    host = labelled()
    assert not is_gathered_ahead(host, CPU)
    with (
        reading() as reads,
        patch.object(Tensor, "pin_memory", pin_memory),
        patch.object(torch.cuda, "set_device") as set_device,
    ):
        on_card = Split(host.images.to(CUDA), None)
        assert [is_gathered_ahead(split, CUDA) for split in (host, on_card)] == [True, False]
        with Batches(toy_model(3), host, 16, Context(CUDA), flip=True) as source:
            found = [(x, y) for step in range(3) for x, y in source.of_step(32 * step, 2)]
    assert len(found) == 6
    for x, y in found:
        assert isinstance(y, Tensor)
        assert (x.device, x.shape, y.device, y.shape) == (CUDA, (16, 1, 4, 4), CUDA, (16,))
    assert reads.found == {}
    assert pinned == [(32, 1, 4, 4), (32,)] * 4
    set_device.assert_called_once_with(CUDA)


def test_a_gpu_without_a_number_is_the_card_that_the_thread_has_anyway() -> None:
    device = torch.device("cuda")  # which torch.cuda.set_device refuses
    with (
        reading(),
        patch.object(Tensor, "pin_memory", lambda self: self),
        Batches(toy_model(3), labelled(), 16, Context(device), flip=False) as source,
    ):
        ((x, _),) = source.of_step(0, 1)
    assert x.device == CUDA
