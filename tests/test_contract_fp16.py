"""Families whose networks compute in float16 (emulated where there are no units) with a scaled loss."""

import copy
from collections.abc import Callable
from itertools import cycle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.contract.candidate import Candidate, train_a_little
from genbench.contract.trainings import check_resume
from genbench.generator import Generator
from genbench.runtime.precision import Float16, LossScaling
from genbench.training.loss_scale import LossScaler, loss_scalers
from genbench.vaes.codebook import Codebook
from tests.test_contract import MODELS, VARIANTS, candidate

CPU = torch.device("cpu")
QUICK = ("autoregressive", "gan", "vae")
FAMILIES = [
    pytest.param((f"model={model}",), marks=[] if model in QUICK else pytest.mark.slow) for model in MODELS
]


def lowered(candidate: Candidate) -> Generator:
    """The family as precision=fp16 has it."""
    model = candidate.fresh()
    Float16().apply(model.autocast_networks(), CPU)
    return model


def gradient(
    model: Generator, candidate: Candidate, phase: str, scaler: LossScaler | None = None
) -> tuple[float, Tensor]:
    """The loss of a phase and its gradient (n,), at a scale at which it does not overflow."""
    parameters, state = list(model.phase_parameters(phase)), copy.deepcopy(model.state_dict())
    for _ in range(10):
        model.zero_grad()
        model.load_state_dict(state)  # a codebook learns in each pass
        torch.manual_seed(0)
        loss = model.loss(*candidate.batch(), phase=phase, step=1).total
        (loss if scaler is None else loss * scaler.scale).backward()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        if scaler is not None:
            scaler.unscale(gradients)
        found = torch.cat([each.flatten() for each in gradients])
        if scaler is None or found.isfinite().all():
            break
        scaler.update(loss, found.norm())
    return float(loss.detach()), found


@pytest.mark.parametrize(
    "case",
    [*FAMILIES, *(pytest.param(variant, marks=pytest.mark.slow) for variant in VARIANTS)],
    ids=lambda case: "-".join(case),
)
def test_losses_and_unscaled_gradients_are_those_of_float32(
    case: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of smooth networks: a unit at 0 or a code that flips moves a gradient by its share, 16 % were seen."""
    monkeypatch.setattr(F, "relu", F.silu)
    monkeypatch.setattr(F, "leaky_relu", lambda x, slope: F.silu(x))
    family = candidate(*case)
    exact, model = family.fresh(), lowered(family)
    scalers = loss_scalers(LossScaling(), model, CPU)
    for phase in dict.fromkeys(exact.phases):
        codes: list[Tensor] = []
        with monkeypatch.context() as watched:
            watched.setattr(Codebook, "nearest", noting(Codebook.nearest, codes))
            loss, slope = gradient(exact, family, phase)
        with monkeypatch.context() as same:
            if codes:
                chosen = cycle(codes)  # a gradient that overflows is taken again
                same.setattr(Codebook, "nearest", lambda *_, chosen=chosen: next(chosen))
            rounded, unscaled = gradient(model, family, phase, scalers.get(phase))
        # Numbers of 11 bits are rounded by at most 0.0005 of themselves; 0.0013 was the largest sum of it.
        assert rounded == pytest.approx(loss, rel=1e-3, abs=1e-3)
        assert float((unscaled - slope).norm()) <= 3e-3 * float(slope.norm())


def noting(nearest: Callable[..., Tensor], codes: list[Tensor]) -> Callable[..., Tensor]:
    """The choice of codes, all of which are put into a list."""

    def noted(codebook: Codebook, vectors: Tensor) -> Tensor:
        codes.append(nearest(codebook, vectors))
        return codes[-1]

    return noted


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_a_training_resumes_bit_for_bit_and_samples_are_finite_and_float32(model: str) -> None:
    family = candidate(f"model={model}")
    # Some families overflow at this scale, and the scale grows again within the four steps.
    check_resume(lambda: lowered(family), 64, LossScaling(2.0**20, growth_interval=1))
    trained, (_, y) = train_a_little(lowered(family)).eval(), family.batch(4)
    x = trained.sample(4, y, rng=torch.Generator().manual_seed(0))
    assert x.dtype == torch.float32
    assert x.isfinite().all()
