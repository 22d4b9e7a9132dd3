"""Parts from outside of genbench and torch are found wherever they are in a model, and so are marked ones."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genbench.flows.dequantization import GaussianDequantization
from genbench.probability.differentiates import is_without_gradients
from genbench.runtime.precision import FIXED
from tests.test_contract import build


class Foreign:
    """A part that could take gradients, with a method that can be a hook."""

    def hook(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Change nothing."""


def own(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Change nothing, as a hook of a module."""


@pytest.fixture(scope="module")
def usual() -> nn.Module:
    return build("model=ddpm")


PARTS: dict[str, Callable[[], object]] = {
    "an object": Foreign,
    "a list": lambda: [1, Foreign()],
    "a tuple in a dict": lambda: {"a": (0.5, {"b": Foreign()})},
    "a set": lambda: {Foreign()},
    "a class": lambda: Foreign,
    "a function": lambda: own,
    "a method": lambda: Foreign().hook,
    "a module": lambda: nn.Sequential(nn.Linear(1, 1), type("Layer", (nn.Linear,), {})(1, 1)),
    "a marked part": lambda: [GaussianDequantization()],
    "a partial function": lambda: partial(torch.add, alpha=2),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_a_part_is_found(usual: nn.Module, name: str) -> None:
    model: Any = copy.deepcopy(usual)
    assert is_without_gradients(model)
    model.process.sampler.own = PARTS[name]()
    assert not is_without_gradients(model)


@pytest.mark.parametrize("hook", [own, Foreign().hook])
def test_a_hook_is_a_part_until_it_is_removed(usual: nn.Module, hook: Callable[..., None]) -> None:
    layer = next(module for module in usual.modules() if isinstance(module, nn.Conv2d))
    for register in (layer.register_forward_hook, layer.register_forward_pre_hook):
        handle = register(hook)
        assert not is_without_gradients(usual)
        handle.remove()
        assert is_without_gradients(usual)


def test_parts_of_genbench_and_torch_are_passed_over_and_those_that_hold_each_other_end() -> None:
    model: Any = build("model=ddpm")
    model.process.sampler.model = [model]
    model.act = [nn.functional.silu, torch.relu, nn.Linear, torch.float32, nn.Linear(1, 1).forward]
    nn.utils.parametrizations.spectral_norm(next(m for m in model.modules() if isinstance(m, nn.Conv2d)))
    FIXED["bf16"].apply(model.autocast_networks(), torch.device("cpu"))
    assert is_without_gradients(model)
