"""Keys that came later: where they do nothing a run is the one that it was without them."""

from typing import Any

import pytest

from genbench.records.identity import hashed
from genbench.records.later_keys import without_idle_keys
from genbench.report.settings import settings

UNET = {"_target_": "genbench.nn.unet.UNet", "width": 16}
NO_TEXT = {"_target_": "genbench.text.encoder.no_text"}
SMALL = {"_target_": "genbench.text.small.SmallEncoder", "width": 64}


def tree(text: dict[str, Any] | None, context: int | None) -> dict[str, Any]:
    """A configuration of a version without text (None), or of one that has the key at a value."""
    network = UNET if context is None else UNET | {"context": context}
    of_text = {} if text is None else {"text": text}
    model = {"_target_": "genbench.families.diffusion.Diffusion", "network": network, **of_text}
    return {"data": {"_target_": "a.B"}, "model": model, "network": network, **of_text}


def test_no_text_and_a_context_of_nothing_change_no_identity_and_no_setting() -> None:
    before = tree(None, None)
    now = tree(NO_TEXT, 0)
    assert without_idle_keys(now) == without_idle_keys(before) == before
    assert hashed(now) == hashed(before)
    assert settings(now) == settings(before)


@pytest.mark.parametrize(("text", "context"), [(SMALL, 64), (NO_TEXT, 64), (SMALL, 0)])
def test_any_other_value_does(text: dict[str, Any], context: int) -> None:
    assert hashed(tree(text, context)) != hashed(tree(None, None))


def test_a_context_of_another_network_is_its_own_affair() -> None:
    plugin = {"network": {"_target_": "plug.Network", "context": 0}}
    assert without_idle_keys(plugin) == plugin


def test_random_initial_weights_and_networks_of_one_time_change_no_identity() -> None:
    before, now = tree(None, None), tree(None, None)
    init = {"_target_": "genbench.app.initial_weights.initial_weights", "run_dir": None, "fingerprint": None}
    now["network"] = now["model"]["network"] = UNET | {"times": 1}
    now["init"] = now["model"]["init"] = init
    assert without_idle_keys(now) == before
    assert hashed(now) == hashed(before)
    started = {**now, "init": init | {"run_dir": "a", "fingerprint": "b"}}
    moved = {**now, "init": init | {"run_dir": "c", "fingerprint": "b"}}
    assert hashed(started) == hashed(moved) != hashed(before)
    assert hashed({**now, "network": UNET | {"times": 2}}) != hashed(before)


def test_no_augmentation_changes_no_identity_of_diffusion_and_remains_that_of_a_gan() -> None:
    none = {"_target_": "genbench.gans.augment.NoAugmentation"}
    before = {"data": {"_target_": "a.B"}, "model": {"_target_": "c.D", "network": UNET}}
    now = {**before, "augmentation": none, "model": {**before["model"], "augmentation": none}}
    assert without_idle_keys(now) == before
    assert hashed(now) == hashed(before)
    assert settings(now) == settings(before)
    augmented = {**now, "augmentation": {"_target_": "genbench.diffusion.augment.NonLeaking", "p": 0.12}}
    assert hashed(augmented) != hashed(before)
    gan = {"data": {"_target_": "a.B"}, "augmentation": none}
    gan["model"] = {"_target_": "e.F", "generator": {"_target_": "g.H"}, "augmentation": none}
    assert without_idle_keys(gan) == gan


def test_an_autoencoder_without_further_terms_is_the_one_of_before_they_were_known() -> None:
    before = {"data": {"_target_": "a.B"}, "model": {"_target_": "genbench.families.vae.VAE", "beta": 1.0}}
    none = {
        "perceptual": {"_target_": "genbench.probability.perceptual.no_perceptual"},
        "adversarial": {"_target_": "genbench.gans.adversary.no_adversary"},
    }
    now = {**before, "model": before["model"] | none, **none}
    assert without_idle_keys(now) == before
    assert hashed(now) == hashed(before)
    other = {"_target_": "genbench.gans.adversary.Adversary", "weight": 0.8}
    assert hashed({**now, "model": now["model"] | {"adversarial": other}}) != hashed(before)


@pytest.mark.parametrize("scale", [1, 1.0])
def test_a_factor_of_1_on_the_rate_changes_no_identity_and_others_do(scale: float) -> None:
    before = tree(None, None) | {"lr_schedule": {"_target_": "a.Cosine", "warmup_images": 2000}}
    now = before | {"lr_schedule": before["lr_schedule"] | {"scale": scale}}
    assert hashed(now) == hashed(before)
    assert settings(now) == settings(before)
    other = before | {"lr_schedule": before["lr_schedule"] | {"scale": 0.3}}
    assert hashed(other) != hashed(before)
    assert settings(other)["lr_schedule.scale"] == 0.3


def test_gradients_sent_in_float32_change_no_identity_and_others_do() -> None:
    before = tree(None, None) | {"trainer": {"_target_": "a.Trainer", "batch_size": 64}}
    now = before | {"trainer": before["trainer"] | {"gradients": "fp32"}}
    assert hashed(now) == hashed(before)
    assert settings(now) == settings(before)
    other = before | {"trainer": before["trainer"] | {"gradients": "bf16"}}
    assert hashed(other) != hashed(before)
    assert settings(other)["trainer.gradients"] == "bf16"
