"""Runs of the binomial process, and the settings that it refuses."""

import json
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from genbench import app
from genbench.diffusion.binomial import BinomialDiffusion, ErasureSchedule
from genbench.diffusion.learned_schedule import LearnedSchedule
from genbench.diffusion.times import Stratified
from genbench.errors import UsageError
from tests.conftest import ROOT, Command
from tests.toys import TINY


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"binary": False}, "data.binarize=true"),
        ({"steps": 6}, r"process.steps is 6; it must be from 1 to schedule.T=5"),
        ({"steps": 0}, "process.steps is 0"),
        ({"terms": 1}, "process.terms is 1"),
        ({"auxiliary": -0.1}, "process.auxiliary is -0.1"),
        ({"schedule": LearnedSchedule(5)}, "schedule=learned gets no gradient"),
    ],
)
def test_settings_that_mean_nothing_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BinomialDiffusion(**({"schedule": ErasureSchedule(5), "times": Stratified(), "steps": 5} | arguments))


def test_a_network_that_answers_more_than_a_logit_a_pixel_is_refused() -> None:
    process = BinomialDiffusion(schedule=ErasureSchedule(5), times=Stratified(), steps=5)
    with pytest.raises(ValueError, match=r"\(2, 8, 8\) for images of \(1, 8, 8\)"):
        process.log_prob(lambda x, t, y: torch.zeros(len(x), 2, 8, 8), torch.ones(2, 1, 8, 8), None)


def test_the_configuration_refuses_grey_data_before_any_work() -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        configs = [
            compose("config", overrides=["process=binomial", *more])
            for more in ([], ["data=cifar10"], ["data.binarize=true"])
        ]
    for cfg in configs[:2]:
        with pytest.raises(UsageError, match=r"set data\.binarize=true"):
            app.build(cfg)
    assert isinstance(app.build(configs[2]).model.process, BinomialDiffusion)


def test_a_run_draws_images_of_two_values_and_measures_bits(main: Command, tmp_path: Path) -> None:
    sizes = [word for word in TINY if not word.startswith("sampler.")]
    own = ("process=binomial", "process.steps=3", "data.binarize=true", "metrics=digits")
    done = main(*sizes, *own, "metrics.likelihood_samples=64", f"runs_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("default/*/result.json")
    result = json.loads(path.read_text())
    assert result["cost"]["passes_per_sample"] == 3
    assert result["likelihood"]["bound"] == "lower"
    assert result["likelihood"]["method"] == "vlb, 10 terms (binary)"
    assert 0.3 < result["likelihood"]["bits_per_dim"] < 1  # it starts at 1, a coin a pixel
    model = app.load(path.parent, device="cpu")
    assert set(model.sample(8).unique().tolist()) == {-1.0, 1.0}
