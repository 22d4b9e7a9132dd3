"""The terms that the bits of a bound come from: `genbench bound`."""

from pathlib import Path

import numpy as np
import pytest
import torch

from genbench.cli import main as cli
from genbench.data import Digits
from genbench.evaluation.bound_terms import bound_figure
from genbench.runtime.context import Context
from tests.conftest import Make
from tests.evaluation.test_samples import Replay

SMALL = ("network.width=8", "network.blocks=1", "schedule.T=30", "sampler.steps=3")


def bound(*arguments: object) -> None:
    """The verb, within this process; what it refuses is an exception here, and a line for its users."""
    cli.app(["bound", *map(str, arguments), "--device", "cpu"], standalone_mode=False)


@pytest.mark.parametrize(
    "overrides",
    [SMALL, ("process=binomial", "data.binarize=true", "process.steps=3", *SMALL[:3])],
    ids=["gaussian", "binomial"],
)
def test_the_terms_of_every_step_are_written_and_sum_to_what_is_said(
    made: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    overrides: tuple[str, ...],
) -> None:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    bound(made(*overrides), "--out", tmp_path / "b", "--n", "4")
    t, bits = np.loadtxt(tmp_path / "b" / "terms.csv", delimiter=",", skiprows=1, unpack=True)
    assert t.tolist() == pytest.approx([k / 30 for k in range(1, 31)])
    assert bool((bits >= -1e-6).all())  # divergences, and the code length of a discrete image
    said = float(capsys.readouterr().out.split("at most: ")[1].split(" ")[0])
    assert said == pytest.approx(bits.sum(), abs=0.01)  # L_T is not among the steps, and small
    assert (tmp_path / "b" / "terms.png").stat().st_size > 1000


def test_a_model_without_such_a_bound_is_refused(made: Make, tmp_path: Path) -> None:
    run = made("model=vae", "network.encoder.width=8", "network.decoder.width=8")
    with pytest.raises(ValueError, match="this model has no bound that is a sum over steps"):
        bound(run, "--out", tmp_path / "b")


def test_a_model_without_any_bound_is_told_which_have_one(tmp_path: Path) -> None:
    context = Context(torch.device("cpu"))
    with pytest.raises(ValueError, match="ddpm has one, and model=vae network=deep_ladder or ladder"):
        bound_figure(Replay(torch.zeros(1, 1, 8, 8)), Digits(), tmp_path, n=1, context=context)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_terms_of_a_deep_vae_are_its_layers(
    made: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    run = made("model=vae", "network=deep_ladder", "network.width=8", "network.layers=1")
    bound(run, "--out", tmp_path / "b", "--n", "4")
    t, bits = np.loadtxt(tmp_path / "b" / "terms.csv", delimiter=",", skiprows=1, unpack=True)
    assert t.tolist() == pytest.approx([1 / 3, 2 / 3, 1])  # the pixels, maps of 8x8 and 4x4; one pixel is L_T
    assert bool((bits > 0).all())
    said = capsys.readouterr().out
    assert sum(bits) + float(said.split("L_T ")[1]) == pytest.approx(
        float(said.split("at most: ")[1].split(" ")[0]), abs=1e-3
    )
