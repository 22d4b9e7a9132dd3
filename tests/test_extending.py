"""A family, a schedule and a score are each one file and one YAML: no other file has to name them.

They are added to a copy of the project, where the help, a run, `genbench schedules` and the report find them.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    "genbench/families/pixelwise.py": '''
"""Pixels that are independent Gaussians, fitted to images under a little noise."""

import torch
from torch import Tensor, nn

from genbench.diffusion.schedule import Schedule
from genbench.generator import Generator, Loss, Rng

__all__ = ["Pixelwise"]


class Pixelwise(Generator):
    """p(x) = prod_i N(x_i; m_i, exp(2 s_i))."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int = 0, *, schedule: Schedule) -> None:
        super().__init__(shape, num_classes)
        self.schedule = schedule
        self.mean = nn.Parameter(torch.zeros(self.shape))
        self.log_scale = nn.Parameter(torch.zeros(self.shape))

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_phase(phase)
        self.check_batch(x, y)
        _, sigma = self.schedule.level(torch.full((1,), 0.5, device=x.device))
        variance = (2 * self.log_scale).exp() + sigma.square() / 100
        nll = ((x - self.mean).square() / variance + variance.log()).mean() / 2
        return Loss(nll, {"nll": nll.detach()})

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        self.check_labels(y, n)
        noise = torch.randn(n, *self.shape, generator=rng, device=self.mean.device)
        return self.mean + self.log_scale.exp() * noise
''',
    "conf/model/pixelwise.yaml": """
# Pixels that are independent of each other.
defaults:
  - /schedule@_global_.schedule: linear
  - /optim@_global_.optim: adam
  - /lr_schedule@_global_.lr_schedule: cosine
  - /trainer@_global_.trainer: default

_target_: genbench.families.pixelwise.Pixelwise
shape: ${image.shape}
num_classes: ${image.num_classes}
schedule: ${schedule}
""",
    "genbench/diffusion/ogive.py": '''
"""A schedule whose betas rise as a square."""

import torch
from torch import Tensor

from genbench.diffusion.schedule import FixedSchedule

__all__ = ["Ogive"]


class Ogive(FixedSchedule):
    """beta_k = 40 / T (k / T)^2."""

    def betas(self) -> Tensor:
        return 40 / self.T * (torch.arange(1, self.T + 1, dtype=torch.float64) / self.T).square()
''',
    "conf/schedule/ogive.yaml": """
# Betas that rise as a square.
_target_: genbench.diffusion.ogive.Ogive
T: 1000
""",
    "genbench/metrics/scores/greyness.py": (ROOT / "examples/plugin/genbench_pixels/score.py").read_text(),
    "conf/scores/greyness.yaml": """
# Difference of mean grey levels.
greyness:
  _target_: genbench.metrics.scores.greyness.Greyness
""",
}
MEMBERS = {"pixelwise": "model", "ogive": "schedule", "greyness": "scores"}
SHORT = (
    "budget.images=128",
    "trainer.sample_every_images=null",
    "metrics.samples=20",
    "metrics.likelihood_samples=0",
    "tracker=jsonl",
    "device=cpu",
    "precision=fp32",
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the new members."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("genbench", "conf"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "main.py", copy)
    for name, text in FILES.items():
        assert not (copy / name).exists()
        (copy / name).write_text(text.lstrip())
    return copy


def called(project: Path, *words: str) -> str:
    """Return what a command of the copy prints."""
    environment = os.environ | {"PYTHONPATH": str(project), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *words], cwd=project, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def runs(project: Path) -> Path:
    """A run of the new family on the new schedule, with the new score as its objective."""
    words = ("model=pixelwise", "schedule=ogive", "scores=[fid,greyness]", "objective=greyness")
    called(project, "main.py", *words, "runs_dir=runs", *SHORT)
    return project / "runs"


def test_no_other_file_names_a_new_member(project: Path) -> None:
    for member in MEMBERS:
        files = [path for path in project.rglob("*") if path.suffix in (".py", ".yaml", ".html", ".js")]
        naming = {path.relative_to(project).as_posix() for path in files if member in path.read_text()}
        assert naming <= FILES.keys(), member


def test_the_help_lists_them_with_the_first_line_of_their_yaml(project: Path) -> None:
    page = called(project, "main.py", "--help")
    lines = re.sub(r"\n {19}", " ", page).splitlines()  # a long list of options goes on in further lines
    assert all(
        any(line.startswith(f"  {group} ") and member in line for line in lines)
        for member, group in MEMBERS.items()
    )
    groups = called(project, "main.py", "--help", *MEMBERS.values())
    for top in (
        "Pixels that are independent",
        "Betas that rise as a square",
        "Difference of mean grey levels",
    ):
        assert top in groups


def test_the_schedule_is_drawn_among_the_others(project: Path) -> None:
    called(project, "-m", "genbench", "schedules", "--out", "schedules.svg", "--T", "1000")
    text = (project / "schedules.svg").read_text()
    assert all(f"<!-- {name} -->" in text for name in ("ogive", "cosine"))


def test_a_run_records_its_choices_its_score_and_the_kind_of_that(runs: Path) -> None:
    (path,) = runs.rglob("result.json")
    result = json.loads(path.read_text())
    assert {"model": "pixelwise", "schedule": "ogive"}.items() <= result["choices"].items()
    assert 0 < result["metrics"]["greyness[digits-cnn-v1,n=20,ref=train,ema]"] < 1
    assert result["kinds"]["greyness"] == {
        "title": "grey gap",
        "better": -1,
        "interval": "samples",
        "in_tables": True,
    }


def test_the_report_shows_the_score_with_its_title_and_direction(project: Path, runs: Path) -> None:
    report = ("-m", "genbench", "report", str(runs), "--by", "model,schedule")
    lines = called(project, *report, "--format", "md").splitlines()
    head, _, row, *_ = (line for line in lines if line.startswith("|"))
    assert "| grey gap¹ ↓ |" in head
    assert row.startswith("| pixelwise | ogive ")
    called(project, *report, "--out", "page.html")
    (column,) = (
        line for line in (project / "page.html").read_text().splitlines() if "<th" in line and "grey" in line
    )
    assert 'data-better="-1"' in column
    assert "grey gap" in re.sub(r"<[^>]*>", "", column)
    assert "↓" in column
