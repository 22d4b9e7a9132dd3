"""The variance-exploding process with each parameterization, weighting and guidance that is an option."""

import itertools
import re

import pytest
import torch

from genbench.config.option_folders import CONF
from genbench.errors import UsageError
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


def check(*words: str) -> bool:
    """Train a step and draw samples, all of them finite; False where the choice is refused with a remedy."""
    try:
        model = build(*EXPLODING, *words)
    except (UsageError, ValueError) as error:
        if not re.search("use|choose|set|take", str(error)):
            raise
        return False
    rng = torch.Generator().manual_seed(0)
    x, y = torch.rand(4, 1, 8, 8, generator=rng) * 2 - 1, torch.arange(4)
    for phase in dict.fromkeys(model.phases):
        loss = model.loss(x, y, phase=phase).total
        loss.backward()
        assert bool(loss.isfinite()), words
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None), words
    drawn = model.eval().sample(2, y[:2], rng=rng)
    assert bool(drawn.isfinite().all()), words
    return True


@pytest.mark.parametrize("parameterization", options("parameterization"))
def test_a_classifier_guides_whatever_the_network_predicts(parameterization: str) -> None:
    assert check("guidance=classifier", f"parameterization={parameterization}")


@pytest.mark.slow
@pytest.mark.parametrize("guidance", ["none", "classifier", "classifier_free"])
def test_weightings_and_parameterizations_compose_or_are_refused_with_a_remedy(guidance: str) -> None:
    choices = itertools.product(options("parameterization"), options("weighting"))
    found = {
        each: check(f"guidance={guidance}", f"parameterization={each[0]}", f"weighting={each[1]}")
        for each in choices
    }
    refused = {each for each, composes in found.items() if not composes}
    print(refused)
    assert len(refused) < len(found) / 2
