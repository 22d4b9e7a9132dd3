"""Values of a configuration against the annotations of constructors."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from genbench.config import schema


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (3, int, True),
        (3.0, int, False),
        (True, int, False),
        (3, float, True),
        (True, float, False),
        ("3", float, False),
        (None, float | None, True),
        (None, float, False),
        (math.nan, float, False),
        (-math.inf, float | None, False),
        ([0.9, math.inf], tuple[float, float], False),
        (2**63 - 1, int, True),
        (2**63, int, False),
        (-(2**63), float, False),
        ([1, 2], Sequence[int], True),
        ([1, "2"], Sequence[int], False),
        ([0.9, 0.99], tuple[float, float], True),
        (0.9, tuple[float, float], False),
        ({"_target_": "torch.nn.Linear"}, torch.nn.Module, True),
        ({"_target_": "torch.nn.Linear"}, torch.nn.Conv2d, False),
        ({"a": 1}, torch.nn.Module, False),
    ],
)
def test_a_value_fits_what_its_annotation_says(value: object, hint: Any, expected: bool) -> None:
    assert schema.fits(value, hint) is expected


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            {"_target_": "subprocess.run"},
            r"loss._target_ is 'subprocess.run'; it must start with one of genbench.",
        ),
        ({"_target_": "genbench.nowhere.X"}, r"cannot be imported"),
        (
            {"_target_": "genbench.training.budget.Budget", "imges": 3},
            r"loss.imges is unknown; Budget takes images, seconds",
        ),
        (
            {"_target_": "genbench.training.budget.Budget", "images": "3"},
            r"loss.images is '3'; it must be a whole number",
        ),
        ({"inner": [{"_target_": "os.system"}]}, r"loss.inner\[0\]._target_ is 'os.system'"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_place(node: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schema.check(node, "loss")


def test_a_legal_tree_passes() -> None:
    schema.check({"_target_": "genbench.training.budget.Budget", "images": 3, "seconds": None}, "budget")


def test_a_scale_that_training_fixed_is_named_where_sampling_has_none() -> None:
    with pytest.raises(ValueError, match=r"fixed by the training \(process.scale\)"):
        schema.sampling_key("guidance.scale", ["process.scale", "process.steps"])
