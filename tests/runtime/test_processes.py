"""Work that processes share: each law holds for two real ones over gloo."""

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.distributed import TCPStore

from genbench.errors import UsageError
from genbench.runtime import global_batch
from genbench.runtime.launcher import launcher
from genbench.runtime.processes import ALONE, Processes, joined, saved_buffers
from genbench.runtime.sent_errors import is_rebuilt
from tests.toys import toy_model


def together(processes: Processes) -> dict[str, object]:
    """Results of what two processes do together, as one of them has them."""
    me = processes.index
    mean = [torch.full((2, 2), float(me)), torch.tensor([me + 2**-40], dtype=torch.float64)]
    processes.average(mean)
    first = [torch.tensor([me, 7]), torch.tensor([me == 0, True]), torch.tensor(me + 0.5)]
    processes.copy_first(first)
    drawn = processes.images(6, torch.arange(6), draw)
    index, rows = torch.arange(8), global_batch.StepRows()
    learned = []
    places, own = processes.parts(index, 2)
    parts = list(zip(places, own.chunk(2), strict=True))
    for part, mine in parts:
        with global_batch.at_work(part):
            learned.append(rows.complete([mine, mine.float()]))
    return {
        "raised": raised(lambda: list(processes.map(broken, list(range(4))))),
        "raised by the first": raised(lambda: processes.on_first(lambda: broken(2))),
        "rebuilt": is_rebuilt(error_of(lambda: processes.on_first(lambda: broken(2)))),
        "raised ahead": [raised(partial(ahead, processes, failing)) for failing in (0, 1)],
        "of the first": processes.on_first(lambda: {"index": me}),
        "broadcast": processes.broadcast([me, torch.tensor(me)])[0],
        "gathered": processes.gather(me),
        "mean": [tensor.tolist() for tensor in mean],
        "first": [tensor.tolist() for tensor in first],
        "agreed": processes.broadcast_numbers([me + 0.25, float(me == 0)]),
        "mapped": list(processes.map(lambda item: item**2, list(range(11)))),
        "again": list(processes.map(str, ["a"])),
        "images": drawn.tolist(),
        "learned": [found and [column.tolist() for column in found] for found in learned],
        "parts": [(part.index, part.of, part.last, mine.tolist()) for part, mine in parts],
    }


def raised(work: Callable[[], object]) -> str:
    """The message that some work fails with."""
    return str(error_of(work))


def error_of(work: Callable[[], object]) -> FloatingPointError:
    """The error that some work fails with."""
    with pytest.raises(FloatingPointError) as error:
        work()
    return error.value


def ahead(processes: Processes, failing: int) -> None:
    """Go through a block after the first process; one fails in it, or this one where it is alone."""
    with processes.first_ahead():
        broken(2 if processes.index == min(failing, processes.count - 1) else 0)


def broken(item: int) -> int:
    """Fails at one item, which one process alone meets."""
    if item == 2:
        raise FloatingPointError("item 2 is not finite")
    return item


def draw(n: int, y: torch.Tensor | None) -> torch.Tensor:
    """Images of labels y, here a number each."""
    assert y is not None
    return y + global_batch.uniform(n, device=y.device, rng=torch.Generator().manual_seed(0))


def test_two_processes_average_follow_agree_and_share_work(tmp_path: Path) -> None:
    launcher(2, process, tmp_path.name)(json.dumps(sys.path), str(tmp_path))
    first, second = (json.loads((tmp_path / name).read_text()) for name in "01")
    for seen in (first, second):
        assert seen["mean"] == [[[0.5, 0.5], [0.5, 0.5]], [0.5 + 2**-40]]
        assert seen["first"] == [[0, 7], [True, True], 0.5]
        assert seen["agreed"] == [0.25, 1.0]
        assert {seen["raised"], seen["raised by the first"], *seen["raised ahead"]} == {
            "item 2 is not finite"
        }
        assert seen["of the first"] == {"index": 0}
        assert seen["broadcast"] == 0
        assert seen["learned"] == [None, [list(range(8)), [float(row) for row in range(8)]]]
    assert (first["rebuilt"], second["rebuilt"]) == (False, True)  # the first has its own traceback
    assert (first["gathered"], second["gathered"]) == ([0, 1], [])
    assert first["mapped"] == [item**2 for item in range(11)]
    assert first["again"] == ["a"]
    assert (second["mapped"], second["again"]) == ([], [])
    alone = together(ALONE)["images"]
    assert first["images"] == alone
    assert set(first["listening"]) <= {"0100007F"}
    assert [*first["parts"], *second["parts"]] == [
        [0, 4, False, [0, 1]],
        [1, 4, True, [2, 3]],
        [2, 4, False, [4, 5]],
        [3, 4, True, [6, 7]],
    ]


def process(path: str, folder: str) -> None:
    sys.path[:] = json.loads(path)
    with joined(torch.device("cpu")) as processes:
        seen = together(processes) | {"listening": listening(processes)}
        Path(folder, str(processes.index)).write_text(json.dumps(seen))


def test_a_killed_process_ends_the_others_with_an_error_that_names_its_signal(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="SIGKILL"):
        launcher(2, killed, tmp_path.name)(json.dumps(sys.path))


def killed(path: str) -> None:
    """Wait for the second process, which is killed."""
    sys.path[:] = json.loads(path)
    with joined(torch.device("cpu")) as processes:
        if processes.index == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        processes.broadcast([1])
        processes.average([torch.zeros(1)])


def listening(processes: Processes) -> list[str]:
    """The addresses on which this machine listens at the port of the common store, where Linux tells them."""
    assert isinstance(processes.store, TCPStore)
    tables = [path.read_text().splitlines()[1:] for path in Path("/proc/self/net").glob("tcp*")]
    lines = [line.split() for table in tables for line in table]
    sockets = [local.partition(":") for _, local, _, state, *_ in lines if state == "0A"]
    return [address for address, _, port in sockets if int(port, 16) == processes.store.port]


def test_alone_all_of_it_is_what_was_given() -> None:
    seen = together(ALONE)
    assert seen["agreed"] == [0.25, 1.0]
    assert seen["mapped"] == [item**2 for item in range(11)]
    assert seen["mean"] == [[[0.0, 0.0], [0.0, 0.0]], [2**-40]]


def test_a_batch_that_cannot_be_divided_equally_is_refused() -> None:
    ALONE.check_batch(64, 4)
    with pytest.raises(UsageError, match=r"batch_size=64 is no multiple of the 1 processes times .*=3"):
        ALONE.check_batch(64, 3)


def test_what_changes_are_the_buffers_that_a_checkpoint_keeps() -> None:
    model = toy_model()
    model.register_buffer("kept", torch.zeros(2))
    model.register_buffer("constant", torch.zeros(3), persistent=False)
    assert [len(buffer) for buffer in saved_buffers(model) if buffer.dim()] == [2]
