"""A family under check: fresh models and batches for the rules, and the two ways in which a rule ends
early."""

import copy
import re
import unittest
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from genbench.generator import Generator, Y
from genbench.runtime import rng
from genbench.runtime.precision import BFloat16

__all__ = [
    "BATCH",
    "CPU",
    "TEXTS",
    "Broken",
    "Candidate",
    "NotApplicable",
    "expect",
    "expect_refusal",
    "expect_samples",
    "train_a_little",
    "train_step",
]

BATCH = 6
TEXTS = ("one", "", "a two", "red", "six of it", "on")
"""Short, since a model that has learned no words may spell them; one is empty, the null condition."""
CPU = torch.device("cpu")


class Broken(AssertionError):  # noqa: N818 (what the rule is)
    """A rule that a family does not keep: the message says what was expected and what came instead."""


class NotApplicable(unittest.SkipTest):
    """A rule about something that a family does not have, such as a likelihood; the message names it."""


class Candidate:
    """A family to be checked; hands each rule models of its own, so that no rule meets what another one left.

    make: builds the model, with the same weights whatever was drawn before; it is called once, and copied.
    batchwise: the loss of an image depends on the others of its batch by design, as under optimal transport.
    """

    def __init__(self, make: Callable[[], Generator], *, batchwise: bool = False) -> None:
        self.make, self.batchwise = make, batchwise

    @cached_property
    def built(self) -> Generator:
        """The model as it is before training, on the CPU; rules take copies of it."""
        with rng.fork(CPU):
            torch.manual_seed(0)
            return self.make()

    @cached_property
    def trained(self) -> Generator:
        """The model after three steps in evaluation mode; rules take copies of it."""
        return train_a_little(self.fresh()).eval()

    def fresh(self) -> Generator:
        """Return a model before training, always with the same weights."""
        return copy.deepcopy(self.built)

    def sampler(self) -> Generator:
        """Return the model after three training steps, in evaluation mode, always with the same weights."""
        return copy.deepcopy(self.trained)

    def lowered(self) -> Generator:
        """Return a fresh model whose networks compute in bfloat16, as precision=bf16 has it."""
        model = self.fresh()
        BFloat16().apply(model.autocast_networks(), CPU)
        return model

    def batch(self, n: int = BATCH) -> tuple[Tensor, Y]:
        """Return n images (n, C, H, W), uniform in [-1, 1], and n labels, texts or None: always the same."""
        return batch_for(self.built, n)


def batch_for(model: Generator, n: int = BATCH) -> tuple[Tensor, Y]:
    """Return the images and labels or texts of `Candidate.batch` for a model."""
    draws = torch.Generator().manual_seed(0)
    x = torch.rand(n, *model.shape, generator=draws) * 2 - 1
    if model.takes_text:
        return x, model.condition([TEXTS[k % len(TEXTS)] for k in range(n)])
    return x, torch.randint(model.num_classes, (n,), generator=draws) if model.num_classes else None


def train_a_little(model: Generator) -> Generator:
    """Return the model after three steps, so that layers that start at zero pass gradient on."""
    for step in range(3):
        for phase in dict.fromkeys(model.phases):
            train_step(model, phase, step, torch.optim.Adam(model.phase_parameters(phase), lr=1e-3))
    return model


def train_step(model: Generator, phase: str, step: int, optimizer: torch.optim.Optimizer) -> float:
    """Make one update of a phase on the batch of `Candidate.batch`, and return the loss before it."""
    x, y = batch_for(model)
    torch.manual_seed(step)
    loss = model.loss(x, y, phase=phase, step=step)
    loss.total.backward()
    optimizer.step()
    model.zero_grad()
    return float(loss.total.detach())


def expect(kept: bool, wanted: str, came: object) -> None:
    """Raise Broken, which says what was wanted and what came instead, unless a rule is kept."""
    if not kept:
        raise Broken(f"expected {wanted}; got {came}")


def expect_samples(model: Generator, found: Tensor, y: Y, wanted: str) -> None:
    """Raise Broken unless images (n, C, H, W) are those that a model samples from an rng of seed 0, bit for
    bit. Raises NotApplicable where its samples do not repeat themselves, since that is a rule of its own."""
    first = model.sample(len(found), y, rng=torch.Generator().manual_seed(0))
    same = torch.equal(found, first)
    if not same and not torch.equal(model.sample(len(found), y, rng=torch.Generator().manual_seed(0)), first):
        raise NotApplicable("samples do not follow the rng, which is another rule")
    expect(same, wanted, "other images")


def expect_refusal(call: Callable[[], object], given: str, parts: Sequence[str]) -> None:
    """Raise Broken unless a call raises a ValueError whose message has some parts, in this order.
    given: the wrong input in words, with which the message of Broken begins.
    """
    wanted = f'{given}: expected a ValueError whose message has "{" .. ".join(parts)}"'
    try:
        call()
    except ValueError as error:
        if not re.search(".*".join(map(re.escape, parts)), str(error)):
            raise Broken(f'{wanted}; its message is "{error}"') from error
    except Exception as error:
        raise Broken(f"{wanted}; got {type(error).__name__}: {error}") from error
    else:
        raise Broken(f"{wanted}; it was accepted")
