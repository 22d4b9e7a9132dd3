"""The files that the page reads from a run's directory."""

from collections.abc import Callable
from pathlib import Path

import pytest

from genbench.report.page import run_folder

Write = Callable[..., Path]


def test_a_command_is_what_a_shell_reads_back(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text("- model=ddpm\n- data.root='/a b'\n- x=$(reboot)\n")
    assert (
        run_folder.command(tmp_path)
        == """python main.py model=ddpm 'data.root='"'"'/a b'"'"'' 'x=$(reboot)'"""
    )
    assert run_folder.command(tmp_path / "nowhere") is None
    (tmp_path / ".hydra" / "overrides.yaml").write_text("{a: [")
    assert run_folder.command(tmp_path) is None


@pytest.mark.parametrize(
    "noise",
    [
        None,
        "x",
        {"t": [0.0, 1.0]},
        {"t": [0.0, 1.0], "alpha_bar": [1.0]},
        {"t": [0.0, 1.0], "alpha_bar": [1.0, "<b>"]},
        {"t": [0.0, 1.0], "alpha_bar": [1.0, float("nan")]},
        {"t": [0.0, 2.0], "alpha_bar": [1.0, 0.5]},
        {"t": {}, "alpha_bar": "1"},
    ],
)
def test_a_way_to_noise_that_is_none_is_left_out(noise: object, write: Write) -> None:
    assert run_folder.noise_schedule(write("run", noise=noise).parent) is None


def test_a_way_to_noise_is_named_by_its_schedule_or_else_its_model(write: Write) -> None:
    noise = {"t": [0, 1], "alpha_bar": [1, 0.25]}
    found = run_folder.noise_schedule(write("a", noise=noise).parent)
    assert found == ("cosine", [0, 1], [1, 0.25])
    other = run_folder.noise_schedule(write("b", noise=noise, choices={"model": "flow_matching"}).parent)
    assert other is not None
    assert other[0] == "flow_matching"


def test_prompts_are_the_first_lines_of_a_file_in_the_run_and_of_no_other(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "samples").mkdir(parents=True)
    file = run / "samples" / "prompts.txt"
    assert run_folder.prompts(run) == []
    file.write_bytes(b"a cat\n\ncaf\xe9\n" + b"x" * 900 + b"\n" + b"more\n" * 90)
    found = run_folder.prompts(run)
    assert found[:3] == ["a cat", "caf\ufffd", f"{'x' * 200} .."]
    assert len(found) == 19
    file.write_bytes(b"x" * 10_000_000)
    assert run_folder.prompts(run) == []
    file.unlink()
    (tmp_path / "secret").write_text("secret")
    file.symlink_to(tmp_path / "secret")
    assert run_folder.prompts(run) == []
