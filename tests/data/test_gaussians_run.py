"""A run on data whose law is known, as a user starts it."""

import json
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from genbench import app
from genbench.errors import UsageError
from tests.conftest import ROOT, Command
from tests.toys import TINY


def test_a_run_is_measured_against_the_law(main: Command, tmp_path: Path) -> None:
    sizes = [word for word in TINY if not word.startswith(("sampler.", "network."))]
    small = ("network.encoder.width=8", "network.decoder.width=8", "data.train=600", "data.test=64")
    done = main("data=gaussians", "model=vae", *sizes, *small, f"runs_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("default/*/result.json")
    result = json.loads(path.read_text())
    likelihood, metrics = result["likelihood"], result["metrics"]
    low, high = 5.04, 5.15  # the bounds of the entropy; 64 images of 64 pixels err by 0.016
    assert low - 0.08 < likelihood["floor_bits_per_dim"] < high + 0.08
    assert likelihood["gap_bits_per_dim"] > 5 * likelihood["gap_se"] > 0  # eight steps of training
    assert f"floor {likelihood['floor_bits_per_dim']:.4g}" in done.stdout
    kinds = {name.partition("[")[0]: name for name in metrics if name.endswith("n=64,test]")}
    assert {"modes", "mode_tv", "off_law", "law_bits"} <= set(kinds)
    held_out, drawn = metrics[kinds["law_bits"]], metrics[kinds["law_bits"].replace("test]", "ema]")]
    assert low - 0.08 < held_out < high + 0.08 < drawn
    exact = {name.rpartition(",")[2]: metrics[name] for name in metrics if name.startswith("fd_exact[")}
    assert 0 < exact["test]"] < exact["ema]"]


def test_features_of_a_law_are_refused_where_it_is_not_known() -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=["features=law"])
        known = compose("config", overrides=["data=gaussians", "features=law"])
    with pytest.raises(UsageError, match="the law of digits is not known"):
        app.build(cfg)
    assert app.build(known).source.distribution is not None
