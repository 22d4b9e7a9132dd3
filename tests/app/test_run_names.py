"""The settings of a run as trackers get them."""

from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from genbench.app.run_names import resolved, settings_once
from genbench.config.groups import options
from genbench.records.flatten import flatten
from genbench.report.settings import settings
from tests.conftest import ROOT


def sent(*overrides: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Parts of a configuration for trackers: the resolved tree, and the text of its references."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=list(overrides))
    values, written = resolved(cfg), OmegaConf.to_container(cfg)
    assert isinstance(written, dict)
    return settings_once(cfg, values, {"model": "ddpm", "schedule": "cosine"}), values, flatten(written)


@pytest.mark.parametrize("model", options("model"))
def test_all_that_tells_runs_apart_is_sent_and_references_are_not(model: str) -> None:
    once, values, written = sent(f"model={model}")
    left_out = settings(values).keys() - once.keys()
    references = tuple(key for key, value in written.items() if str(value).startswith("${"))
    assert [key for key in left_out if not (f"{key}.").startswith(tuple(f"{r}." for r in references))] == []
    assert {key: flatten(values)[key] for key in once} == once
    assert not once.keys() & set(references)


@pytest.mark.parametrize("setting", ["schedule.T=500", "sampler.steps=7", "network.width=24", "optim.lr=0.1"])
def test_a_setting_that_changes_changes_under_one_key(setting: str) -> None:
    """schedule.T stood under schedule, process.schedule and model.process.schedule."""
    key, _, _ = setting.partition("=")
    before, now = sent()[0], sent(setting)[0]
    assert {name for name in now if now[name] != before.get(name)} == {key}


def test_what_the_choices_say_is_not_sent_again() -> None:
    once, _, _ = sent()
    assert not {"model._target_", "schedule._target_", "optim._partial_"} & once.keys()
    assert not [key for key in once if key.startswith("tracker")]
