"""Training with compiled networks."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genbench.runtime.compile import check_compiler, compiled
from genbench.training.state import Trained
from tests.toys import toy_model
from tests.training.test_loop import run, same

CPU = torch.device("cpu")


def losses(folder: Path) -> list[float]:
    """The curve of a run."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row["net/loss"] for row in rows if "net/loss" in row]


def test_no_compiler_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match=r"trainer.compile is true.*no-such-compiler"):
        check_compiler(CPU)


def test_a_gpu_needs_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr("genbench.runtime.compile.find_spec", lambda name: None)
    check_compiler(CPU)
    with pytest.raises(ValueError, match="triton"):
        check_compiler(torch.device("cuda"))


def test_hooks_run_around_what_is_compiled_and_only_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def compile_(call: Callable[..., Tensor], dynamic: bool, options: object) -> Callable[..., Tensor]:
        return lambda *inputs: order.append("compiled") or call(*inputs)

    monkeypatch.setattr(torch, "compile", compile_)
    model, x = toy_model(), torch.randn(2, 1, 4, 4)
    names = list(model.state_dict())
    model.network.register_forward_pre_hook(lambda network, inputs: order.append("before"))
    model.network.register_forward_hook(lambda network, inputs, output: order.append("after"))
    with compiled(model.networks()):
        model.loss(x)
        assert list(model.state_dict()) == names
    model.loss(x)
    assert order == ["before", "compiled", "after", "before", "after"]


@pytest.mark.slow  # it compiles, for a minute or two
def test_a_compiled_training_equals_a_plain_one_and_its_resume_equals_it_bit_for_bit(
    tmp_path: Path,
) -> None:
    def trained(name: str, *, compile: bool = True, seed: int = 0, stop_at: int | None = None) -> Trained:
        model = toy_model(seed=seed)
        return run(tmp_path / name, model=model, stop_at=stop_at, compile=compile)

    plain, straight = trained("plain", compile=False), trained("straight")
    # Rounding, over 32 steps of Adam at a rate of 0.01.
    assert losses(tmp_path / "straight") == pytest.approx(losses(tmp_path / "plain"), rel=1e-4)
    assert not trained("parts", stop_at=208).finished
    assert same(straight, trained("parts", seed=1))
    assert "forward" not in vars(plain.model.network) | vars(straight.model.network)
