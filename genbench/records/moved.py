"""Old paths of classes that have moved: recorded configurations and identities are made of these."""

from collections.abc import Mapping
from typing import Any

__all__ = ["MOVED", "with_current_paths", "with_first_paths"]

MOVED: dict[str, str] = {
    "genbench.budget.Budget": "genbench.training.budget.Budget",
    "genbench.families.ddpm.Denoising": "genbench.families.diffusion.Denoising",
    "genbench.families.ddpm.Diffusion": "genbench.families.diffusion.Diffusion",
    "genbench.lr_schedule.Constant": "genbench.training.lr_schedule.Constant",
    "genbench.lr_schedule.Cosine": "genbench.training.lr_schedule.Cosine",
    "genbench.lr_schedule.Linear": "genbench.training.lr_schedule.Linear",
    "genbench.precision.AutoPrecision": "genbench.runtime.precision.AutoPrecision",
    "genbench.precision.BFloat16": "genbench.runtime.precision.BFloat16",
    "genbench.precision.Float32": "genbench.runtime.precision.Float32",
    "genbench.train.Trainer": "genbench.training.loop.Trainer",
}
"""The path of a class when the first runs recorded it -> its path now."""
FIRST = {now: first for first, now in MOVED.items()}


def with_current_paths(node: Any) -> Any:  # noqa: ANN401
    """Return a recorded configuration with the current path of each class that has moved since.

    node: dicts, lists and values, as JSON or YAML hold them; only the values of `_target_` are changed.
    """
    return renamed(node, MOVED)


def with_first_paths(node: Any) -> Any:  # noqa: ANN401
    """Return a configuration with the first path that each class ever had, so that a move changes no
    identity.

    The inverse of `with_current_paths`; classes that never moved are unchanged.
    """
    return renamed(node, FIRST)


def renamed(node: Any, paths: Mapping[str, str]) -> Any:  # noqa: ANN401
    """Return plain data in which each `_target_` that is a key of `paths` has its value instead."""
    if isinstance(node, list):
        return [renamed(child, paths) for child in node]
    if not isinstance(node, Mapping):
        return node
    return {
        key: paths.get(child, child)
        if key == "_target_" and isinstance(child, str)
        else renamed(child, paths)
        for key, child in node.items()
    }
