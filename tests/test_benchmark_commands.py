"""The command lines of `benchmarks`, and the rows and tables of its GPU benchmark."""

import ast
import inspect
import math
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import typer
from typer.core import TyperOption
from typer.main import get_command
from typer.testing import CliRunner

from benchmarks import gpu, memory, scaling
from benchmarks.console import Row, chosen, counts
from benchmarks.contenders import CPU, PeerNotInstalled, needs_library
from benchmarks.gpu_report import Part, Report
from benchmarks.gpu_training import Setting, compared, numbers
from tests.conftest import ROOT
from tests.test_benchmarks import Clockwork


def commands() -> list[str]:
    """The modules of benchmarks that `python -m` starts, by discovery."""
    folder = ROOT / "benchmarks"
    files = [path for path in sorted(folder.rglob("*.py")) if "typer.run(main)" in path.read_text()]
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__") for path in files
    ]


@pytest.mark.parametrize("name", commands())
def test_every_command_answers_help_and_refuses_a_wrong_list_in_one_line(name: str, tmp_path: Path) -> None:
    spec = find_spec(name)
    assert spec is not None
    is_package = spec.submodule_search_locations is not None
    main = import_module(f"{name}.__main__" if is_package else name).main
    command = typer.Typer()
    command.command()(main)
    helped = CliRunner().invoke(command, ["--help"])
    assert helped.exit_code == 0
    parameters = inspect.signature(main).parameters
    needed = [key for key, each in parameters.items() if each.default is inspect.Parameter.empty]
    required = [word for key in needed for word in (f"--{key.replace('_', '-')}", str(tmp_path))]
    for option in list_options(main):
        for value, message in refusals(option).items():
            refused = CliRunner().invoke(command, [*required, option, value], env={"COLUMNS": "2000"})
            said = " ".join(refused.output.split())
            assert refused.exit_code == 2, (option, value, said, refused.exception)
            assert f"Invalid value for {option}: " in said
            assert message in said


def list_options(main: Callable[..., object]) -> list[str]:
    """The options of a command that take comma-separated lists, by their help."""
    command = typer.Typer()
    command.command()(main)
    options = [each for each in get_command(command).params if isinstance(each, TyperOption)]
    return [option.opts[0] for option in options if (option.help or "").startswith("Comma-separated")]


def refusals(option: str) -> dict[str, str]:
    """Wrong values of an option, and what is said about each."""
    common = {"2,2": "separated by commas, each of them once", "2,": "separated by commas"}
    if option in ("--only", "--parts"):
        return {**common, "no_such_name": "'no_such_name' is unknown; choose from"}
    return {**common, "few": "whole numbers", "0": "of at least 1", "": "of at least 1"}


def test_the_options_that_take_lists_are_found_by_their_help() -> None:
    assert list_options(memory.main) == ["--batches", "--samples"]
    assert list_options(scaling.main) == ["--sides", "--images", "--batches", "--words", "--squares"]
    assert list_options(gpu.main) == ["--parts"]


def test_a_list_of_counts_or_names_is_parsed_in_its_order() -> None:
    assert counts("32, 8", "--batches") == [32, 8]
    assert chosen("b,a", ["a", "b"]) == ["b", "a"]
    assert chosen("", ["a", "b"]) == ["a", "b"]


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").rglob("*.py")), ids=lambda path: path.stem)
def test_what_a_benchmark_imports_from_another_one_is_there(path: Path) -> None:
    """Also inside functions, where an import fails only when the benchmark has come as far."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("benchmarks."):
            source = ROOT.joinpath(*str(node.module).split("."))
            file = source / "__init__.py" if source.is_dir() else source.with_suffix(".py")
            modules = {each.stem for each in source.glob("*.py")}
            assert {alias.name for alias in node.names} <= top_level(file) | modules, node.module


def top_level(file: Path) -> set[str]:
    """The names that a module defines or imports at its top level."""
    found: set[str] = set()
    for node in ast.parse(file.read_text()).body if file.exists() else []:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        else:
            found |= {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
    return found


def test_a_peer_is_left_out_where_its_own_library_is_missing_alone() -> None:
    with pytest.raises(PeerNotInstalled, match=r"ddpm_pytorch is left out .*pip install"):  # noqa: SIM117
        with needs_library("ddpm_pytorch"):
            raise ModuleNotFoundError("no module", name="denoising_diffusion_pytorch")
    with pytest.raises(ModuleNotFoundError), needs_library("pythae"):
        raise ModuleNotFoundError("no module", name="pandas")  # which pythae needs itself
    with pytest.raises(ImportError, match="cannot import"), needs_library("torch_fidelity"):
        raise ImportError("cannot import name 'inception'", name="benchmarks.evaluation")


@pytest.mark.parametrize(
    ("other", "apart", "undefined", "equal"),
    [([1.0, 2.0], 0.0, 0, "yes"), ([1.0, 2.5], 0.5, 0, "no"), ([1.0, math.nan], math.nan, 1, "no")],
)
def test_weights_are_equal_bit_for_bit_or_not(
    other: list[float], apart: float, undefined: int, equal: str
) -> None:
    one = {"steps": torch.tensor(3), "weight": torch.tensor([1.0, 2.0])}
    row = compared(one, {"steps": torch.tensor(3), "weight": torch.tensor(other)})
    assert row["largest difference of a weight"] == pytest.approx(apart, nan_ok=True)
    assert (row["NaN"], row["equal"]) == (undefined, equal)


def test_weights_that_are_nan_in_both_models_are_not_equal() -> None:
    both = {"weight": torch.tensor([math.nan]), "bias": torch.zeros(1)}
    assert compared(both, both)["equal"] == "no"


@pytest.mark.parametrize("peak", [None, 1e9])
def test_the_share_of_the_measured_peak_is_left_out_where_the_peak_was_not_measured(
    peak: float | None,
) -> None:
    row = numbers(Setting(CPU, peak=peak), Clockwork("ours", 1e6), rate=100.0)
    assert row["TFLOP/s"] == pytest.approx(1e-4)
    assert ("of the measured peak" in row) == (peak is not None)
    assert row.get("of the measured peak", 0.1) == pytest.approx(0.1)


def test_the_gpu_benchmark_ends_with_exit_code_1_where_nothing_was_measured(tmp_path: Path) -> None:
    command = typer.Typer()
    command.command()(gpu.main)
    words = ["--parts", "processes", "--device", "cpu", "--toy", "--out", str(tmp_path / "gpu.md")]
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 1
    assert "no row has numbers" in done.output
    assert "two are needed" in (tmp_path / "gpu.md").read_text()


def test_the_gpu_report_has_what_was_measured_when_a_part_fails_or_the_time_is_over(tmp_path: Path) -> None:
    def rows() -> Iterator[Row]:
        yield {"who": "one", "images/s": 1.0}
        raise RuntimeError("out of memory | twice")

    report = Report(tmp_path / "gpu.md", minutes=1.0)
    report.add(Part("first", "First", rows))
    (tmp_path / "reader").hardlink_to(tmp_path / "gpu.md")  # who reads the file while it is written again
    before = (tmp_path / "reader").read_text()
    report.minutes = 0.0
    report.add(Part("second", "Second", rows, ("A note.",)))
    assert (tmp_path / "reader").read_text() == before
    text = (tmp_path / "gpu.md").read_text()
    assert "| one" in text
    assert "RuntimeError: out of memory / twice" in text
    assert text.index("### Second") < text.index("A note.") < text.index("Cut short")
