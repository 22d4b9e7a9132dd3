"""Every benchmark in its shortest form, and its tables: `python -m pytest benchmarks -s`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import evaluation, fast, gpu, machine, memory, overhead, sampling, scaling, startup, training
from benchmarks.console import Table, show
from benchmarks.contenders import CPU
from benchmarks.images import temporary_cache
from benchmarks.matched_networks import GROUPS
from benchmarks.peers.peer import Peer

SHORT = 0.05  # seconds of a turn
U_NET = ("data=cifar10", "model=ddpm", "network.width=8", "network.multipliers=[1,1]", "metrics=none")
FAMILIES = {
    "ddpm": [*U_NET, "sampler.steps=2"],
    "gan": ["data=cifar10", "model=gan", "network.generator.width=8", "metrics=none"],
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def check(table: Table, count: int) -> None:
    """Print a table, and check the count of its rows and that all numbers but an overhead are above 0."""
    show([table])
    assert len(table.rows) == count
    numbers = {k: v for row in table.rows for k, v in row.items() if isinstance(v, float) and k != "overhead"}
    assert all(value > 0 for value in numbers.values()), numbers


@pytest.mark.parametrize("family", GROUPS)
def test_training(family: str) -> None:
    table = training.table([family], seconds=SHORT, rounds=1, batch=2)
    assert all(len(row) == 11 for row in table.rows)  # none where no peer is installed
    show([table])


@pytest.mark.parametrize("family", GROUPS)
def test_sampling(family: str) -> None:
    show([sampling.table([family], seconds=SHORT, rounds=1, samples=2)])


def test_overhead() -> None:
    check(overhead.table([*overhead.CASES], seconds=SHORT, rounds=1), len(overhead.CASES))


def test_startup() -> None:
    check(startup.table(rounds=1, threads=1), 3)


def test_memory() -> None:
    check(memory.training([2, 4], threads=1), 2)
    check(memory.evaluation([200], threads=1), 1)


def test_scaling() -> None:
    check(scaling.resolutions([8, 16], spent=SHORT, rounds=1), 2)
    check(scaling.batch_sizes([2, 4], spent=SHORT, rounds=1), 2)
    check(scaling.data_sets([100, 1000], spent=SHORT, rounds=1), 2)
    check(scaling.texts([2, 4], spent=SHORT, rounds=1), 2)
    check(scaling.tokens([4, 8], spent=SHORT, rounds=1), 4)
    show([scaling.processes(threads=1)])


def test_evaluation(tmp_path: Path) -> None:
    weights = evaluation.Weights(tmp_path)
    check(evaluation.features(weights, peak=1e11, rounds=1, batch=1), 3)
    check(evaluation.libraries(weights, 20, 20, rounds=1), 3)
    check(evaluation.scores(20, 16), 5)
    check(evaluation.alone(16, rounds=1), 1)


def test_fast() -> None:
    check(fast.table(batch=1, seconds=SHORT, rounds=1), len(fast.cases(1)))


def test_machine() -> None:
    rates = machine.peaks(CPU, spent=0.001, rounds=1, size=64)
    assert len(rates) == 4
    check(machine.shares(rates, spent=SHORT, rounds=1), 2)


def trained(peers: dict[str, Callable[[], Peer]]) -> Table:
    mine = gpu.ours(U_NET, CPU, 2, 8, compiles=(False,))  # compiled on a CPU takes minutes
    return gpu.training(mine, gpu.theirs(peers, CPU, 2), CPU, peak=1e12, steps=8, rounds=1)


def test_gpu_but_for_the_device() -> None:
    with temporary_cache():
        check(trained({}), 2)
        check(gpu.sampling(FAMILIES, CPU, samples=3, at_once=2), 2)


@pytest.mark.parametrize("peer", ["diffusers", "ddpm_pytorch"])
def test_a_peer_on_a_gpu_but_for_the_device(peer: str) -> None:
    with temporary_cache():
        show([trained({peer: gpu.peers(CPU, width=32)[peer]})])
