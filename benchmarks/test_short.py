"""Every benchmark in its shortest form, and its tables: `python -m pytest benchmarks -s`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import evaluation, fast, gpu, machine, memory, overhead, sampling, scaling, startup, training
from benchmarks.console import Table, show
from benchmarks.contenders import CPU, Ours
from benchmarks.images import RandomImages
from benchmarks.matched_networks import GROUPS
from genbench.contract.fake_cuda import unstated_reads

SHORT = 0.05  # seconds of a turn


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
    check(startup.table([*startup.NAMES], rounds=1, threads=1, runs=20), len(startup.NAMES))


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


@pytest.mark.parametrize("part", [part for part in gpu.PARTS if not part.startswith("compiled")])
def test_gpu_but_for_the_device(part: str, tmp_path: Path) -> None:
    """Each part but the compiler's, on a CPU, where graphs and a second card are rows that fail."""
    gpu.main(part, 5.0, "cpu", True, tmp_path / "gpu.md")
    text = (tmp_path / "gpu.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    failed = [row for row in rows if "Error:" in row]
    assert rows
    assert all("is no GPU" in row or "PeerNotInstalled" in row for row in failed), failed


@pytest.mark.parametrize("name", ["ho", "edm", "dit"])
def test_the_networks_of_the_gpu_benchmark_train_and_sample_on_fake_cuda(name: str) -> None:
    """At full size: no operation mixes devices, and a loss copies nothing to the host."""
    words = {"ho": gpu.CIFAR.ho, "edm": gpu.CIFAR.edm, "dit": gpu.CIFAR.dit}[name]
    steps = "solver.steps=1" if name == "dit" else "sampler.steps=1"
    model = Ours(name, [*words, "metrics=none", steps], source=RandomImages(16, (3, 32, 32))).parts.model
    model.check_replayable()
    assert unstated_reads(model, ["sample"]) == {}
