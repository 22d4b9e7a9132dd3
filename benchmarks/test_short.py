"""Every benchmark in its shortest form, and its tables: `python -m pytest benchmarks -s`."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import torch
import typer
from typer.testing import CliRunner

from benchmarks import evaluation, fast, gpu, machine, memory, overhead, sampling, scaling, startup, training
from benchmarks.console import Table, show
from benchmarks.contenders import CPU, Ours
from benchmarks.images import RandomImages
from benchmarks.matched_networks import GROUPS
from genbench.contract.fake_cuda import unstated_reads

SHORT = 0.05  # seconds of a turn
TURN = (f"--seconds={SHORT}", "--rounds=1")


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


COMMANDS: dict[ModuleType, tuple[Sequence[str], Sequence[int]]] = {
    training: (["--only=vae", *TURN], []),  # no row where its peer is not installed
    sampling: (["--only=vae", *TURN], []),
    overhead: (["--only=gan-8x8", *TURN], [1]),
    startup: (["--only=genbench---help", "--rounds=1"], [1]),
    memory: (["--batches=2,4", "--samples=200"], [2, 1]),
    scaling: (
        [*TURN, "--sides=8,16", "--images=100,1000", "--batches=2,4", "--words=2,4", "--squares=4,8"],
        [2, 2, 2, 2, 4],  # the table of processes depends on the cores
    ),
    machine: (["--seconds=0.001", "--rounds=1"], []),
    fast: (["--batch=1", *TURN], [len(fast.cases(1))]),
}
"""A command in its shortest form, and how many rows its tables have, where that is known."""


@pytest.mark.parametrize("module", COMMANDS, ids=lambda module: module.__name__)
def test_a_command_passes_its_options_on(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    words, rows = COMMANDS[module]
    shown: list[Table] = []
    monkeypatch.setattr(module, "show", lambda tables, out: shown.extend(tables))
    command = typer.Typer()
    command.command()(module.main)
    done = CliRunner().invoke(command, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert shown
    for table, count in zip(shown, rows, strict=False):
        check(table, count)


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
    command = typer.Typer()
    command.command()(gpu.main)
    words = ["--parts", part, "--minutes", "5", "--device", "cpu", "--toy", "--out", str(tmp_path / "gpu.md")]
    done = CliRunner().invoke(command, words, catch_exceptions=False)
    titles, *rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in (tmp_path / "gpu.md").read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| -")
    ]
    reasons = [dict(zip(titles, row, strict=True)).get("failed", "n/a") for row in rows]
    failed = [reason for reason in reasons if reason != "n/a"]
    allowed = ("is no GPU", "two are needed", *missing_peers())
    assert all(any(part in reason for part in allowed) for reason in failed), failed
    assert (len(failed) == len(rows)) == (part in OF_A_GPU)
    assert done.exit_code == int(part in OF_A_GPU)


OF_A_GPU = ("equal", "batches", "processes")
"""Parts without a number on a CPU: each row of them has graphs, or needs a second card."""


def missing_peers() -> list[str]:
    """What is said of the peers whose libraries are not installed here."""
    libraries = {"diffusers": "diffusers", "ddpm_pytorch": "denoising_diffusion_pytorch"}
    return [f"PeerNotInstalled: {name}" for name, module in libraries.items() if find_spec(module) is None]


@pytest.mark.parametrize("name", ["ho", "edm", "dit"])
def test_the_networks_of_the_gpu_benchmark_train_and_sample_on_fake_cuda(name: str) -> None:
    """At full size: no operation mixes devices, and a loss copies nothing to the host."""
    words = {"ho": gpu.CIFAR.ho, "edm": gpu.CIFAR.edm, "dit": gpu.CIFAR.dit}[name]
    steps = "solver.steps=1" if name == "dit" else "sampler.steps=1"
    model = Ours(name, [*words, "metrics=none", steps], source=RandomImages(16, (3, 32, 32))).parts.model
    model.check_replayable()
    assert unstated_reads(model, ["sample"]) == {}
