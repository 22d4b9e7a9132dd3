"""What building the objects of a user's own configuration allows."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from genbench import app
from genbench.metrics import Metrics
from genbench.runtime.downloads import may_download

ROOT = Path(__file__).resolve().parents[2]


def test_weights_of_features_that_a_command_names_may_be_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = list[bool]()
    monkeypatch.setattr(Metrics, "check_source", lambda *_: allowed.append(may_download()))
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose(
            "config", overrides=["device=cpu", "tracker=jsonl", "features=clip", "features.path=a/b"]
        )
    app.build(cfg)
    assert allowed == [True]
    assert not may_download()
