"""The variance-exploding process with each parameterization, weighting and guidance that is an option."""

import itertools

import pytest
import torch

from genbench.config.option_folders import CONF
from tests.test_contract import build

EXPLODING = (
    "model=ddpm",
    "process=variance_exploding",
    "network.width=8",
    "sampler.steps=2",
    "conditional=true",
)


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def check(*words: str) -> None:
    """Train a step of each phase and draw samples: all is finite."""
    model = build(*EXPLODING, *words)
    rng = torch.Generator().manual_seed(0)
    x, y = torch.rand(4, 1, 8, 8, generator=rng) * 2 - 1, torch.arange(4)
    for phase in dict.fromkeys(model.phases):
        loss = model.loss(x, y, phase=phase).total
        loss.backward()
        assert bool(loss.isfinite()), words
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None), words
    drawn = model.eval().sample(2, y[:2], rng=rng)
    assert bool(drawn.isfinite().all()), words


@pytest.mark.parametrize("parameterization", options("parameterization"))
def test_a_classifier_guides_whatever_the_network_predicts(parameterization: str) -> None:
    check("guidance=classifier", f"parameterization={parameterization}")


@pytest.mark.slow
@pytest.mark.parametrize("guidance", ["none", "classifier", "classifier_free"])
def test_every_weighting_composes_with_every_parameterization(guidance: str) -> None:
    for parameterization, weighting in itertools.product(options("parameterization"), options("weighting")):
        check(f"guidance={guidance}", f"parameterization={parameterization}", f"weighting={weighting}")
