"""Keys of the configuration that came after the first recorded runs, and the values at which they do nothing:
there a run is the one that it was without them.
"""

from collections.abc import Mapping
from typing import Any

from genbench.records.flatten import VALUES

__all__ = ["LATER", "started_anew", "without_idle_keys"]

NOT_AUGMENTED = {
    "model.generator": None,  # of GANs, which had the group from the first
    "augmentation._target_": "genbench.gans.augment.NoAugmentation",
}
LATER: Mapping[str, Mapping[str, object]] = {
    "augmentation._target_": NOT_AUGMENTED,
    "model.augmentation": NOT_AUGMENTED,
    "budget.until": {"budget.until": None},
    "budget.objective": {"budget.until": None},
    "data.captions": {"data.captions": "auto"},
    "data.resize": {"data.resize": "lanczos"},
    "data.validation": {"data.validation": None},
    "lr_schedule.scale": {"lr_schedule.scale": 1.0},
    "model.temperature": {"model._target_": "genbench.families.vae.VAE", "model.temperature": 1.0},
    "trainer.gradients": {"trainer.gradients": "fp32"},
    "trainer.skip_grad_norm": {"trainer.skip_grad_norm": None},
    "trainer.validate_every_images": {"data.validation": None},
    "trainer.ema_snapshots": {"trainer.ema_snapshots": None},
    "trainer.keep": {"trainer.keep": "last"},
    "trainer.keep_by": {"trainer.keep": "last", "trainer.patience": None},
    "trainer.patience": {"trainer.patience": None},
}
"""Key -> the values, by key, at all of which it does nothing; a key that is missing is at this value."""
RANDOM = {"_target_": "genbench.app.initial_weights.initial_weights", "run_dir": None, "fingerprint": None}
IDLE = (
    {"_target_": "genbench.text.encoder.no_text"},
    RANDOM,
    {"_target_": "genbench.probability.perceptual.no_perceptual"},
    {"_target_": "genbench.gans.adversary.no_adversary"},
)
"""Parts that do nothing: a model without text, random initial weights, no further terms of a loss."""
UNET = "genbench.nn.unet.UNet"
OF_UNETS: Mapping[str, object] = {"context": 0, "times": 1}
"""Keys of U-Nets -> the values at which they do nothing."""


def without_idle_keys(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a resolved configuration, without the keys of `LATER` that do nothing in it, so that it equals the
    configuration of the same run by a version that did not know them. Wherever they stand, the parts of
    `IDLE` and what a U-Net has in `OF_UNETS` are left out too, and groups of which nothing remains.
    """
    idle = {
        key
        for key, values in LATER.items()
        if all(value_of(tree, other, value) == value for other, value in values.items())
    }
    found = {
        name: {key: child for key, child in node.items() if f"{name}.{key}" not in idle}
        if isinstance(node, Mapping)
        else node
        for name, node in without_idle_parts(tree).items()
    }
    return {name: node for name, node in found.items() if node != {} or tree[name] == {}}


def started_anew(tree: Mapping[str, Any]) -> bool:
    """Return True for a resolved configuration that could begin with the weights of a run, and does not: the
    one option of its group `init`, which is recorded as its choice, then says nothing.
    """
    return bool(tree.get("init") == RANDOM)


def without_idle_parts(node: Any) -> Any:  # noqa: ANN401
    """Copy plain data, at any depth, without parts and keys that do nothing."""
    if type(node) in VALUES:
        return node
    if isinstance(node, list):
        return [without_idle_parts(child) for child in node]
    if not isinstance(node, Mapping):
        return node
    is_unet = node.get("_target_") == UNET
    return {
        key: child if type(child) in VALUES else without_idle_parts(child)
        for key, child in node.items()
        if (type(child) in VALUES or child not in IDLE)
        and not (is_unet and key in OF_UNETS and child == OF_UNETS[key])
    }


def value_of(tree: Mapping[str, Any], key: str, default: object) -> object:
    """Return the value of a dotted key of two names, `default` where the configuration lacks it."""
    name, _, leaf = key.partition(".")
    node = tree.get(name)
    return node.get(leaf, default) if isinstance(node, Mapping) else default
