"""`genbench check-family` from where a family lies: what it prints, and its exit code."""

import sys
from pathlib import Path

import pytest

from genbench.contract import RULES, sentence, title
from tests.conftest import Command

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "plugin"
CARELESS = '''
"""A family that draws its samples from the default generator."""

import torch
from torch import nn

from genbench.generator import Generator, Loss


class Blur(Generator):
    def __init__(self, shape, *, scale: float = 1.0):
        super().__init__(shape)
        self.scale, self.mean = scale, nn.Parameter(torch.zeros(shape))

    def loss(self, x, y=None, *, phase="net", step=0):
        self.check_phase(phase)
        self.check_batch(x, y)
        return Loss((x - self.mean).square().mean(), {})

    @torch.no_grad()
    def sample(self, n, y=None, *, rng=None):
        self.check_labels(y, n)
        return self.mean + self.scale * torch.randn(n, *self.shape, device=self.mean.device)
'''


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the path of a test at its end; its modules have names that no other test uses."""
    monkeypatch.setattr(sys, "path", sys.path[:])


def test_a_family_in_the_current_folder_is_checked_with_its_arguments(
    verb: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "careless_blur.py").write_text(CARELESS)
    monkeypatch.chdir(tmp_path)
    done = verb("check-family", "careless_blur.Blur", "model.scale=0.5", "--shape", 1, 4, 4)
    assert (done.returncode, done.stderr) == (1, "")
    top, _, head, *lines = done.stdout.splitlines()
    assert top == "careless_blur.Blur (by its constructor alone), images of shape (1, 4, 4)"
    assert head.split() == ["rule", "no", "labels"]  # it takes none, and is checked once
    rows = dict(zip(RULES, lines, strict=False))
    assert all(row.startswith(title(rule)) for rule, row in rows.items())
    broken = [rule for rule, row in rows.items() if "failed" in row]
    assert [rule.__name__ for rule in broken] == [
        "samples_have_the_shape_and_follow_the_rng",
        "sampling_leaves_the_default_generator_alone",
    ]
    assert all(f"  rule: {sentence(rule)}" in lines for rule in broken)
    assert "  here: expected the same images from an rng of the same seed; got other images" in lines
    assert lines[-1] == f"{len(RULES)} rules, 2 broken"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["genbench_pixels.family.Pixels", "model=pixels"])
def test_the_example_keeps_all_rules(verb: Command, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(EXAMPLE)
    options = () if "." in name else ("--config-dir", "genbench_pixels/conf")
    done = verb("check-family", name, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "model=pixels" in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[-1] == f"{len(RULES)} rules, none broken"


def test_a_broken_file_of_the_users_folder_is_not_blamed_on_the_run(verb: Command, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "x.yaml").write_text("a: [\n")
    done = verb("sample", tmp_path, "--out", tmp_path / "out", "--config-dir", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"genbench: {tmp_path}/model/x.yaml is not readable YAML")
