"""Rules of models whose networks compute in bfloat16 (emulated where there are no units for it)."""

import copy
import math

import torch
from torch import Tensor

from genbench.contract.candidate import BATCH, Candidate, NotApplicable, expect, train_a_little, train_step
from genbench.generator import Generator, Latent, Likelihood, Y

__all__ = [
    "likelihood_and_reconstruction_in_bfloat16_are_those_of_float32",
    "losses_in_bfloat16_are_those_of_float32",
    "samples_in_bfloat16_are_finite_and_float32",
]


def losses_in_bfloat16_are_those_of_float32(candidate: Candidate) -> None:
    """The loss of each phase under precision=bf16 is that of float32 to 5 % or 0.05."""
    exact, lowered = candidate.fresh(), candidate.lowered()
    for phase in dict.fromkeys(exact.phases):
        losses = []
        for model in (exact, lowered):
            optimizer = torch.optim.Adam(model.phase_parameters(phase), lr=1e-3)
            losses.append(train_step(model, phase, 1, optimizer))
        # 8 bits of mantissa are 0.4 percent; codes that flip and logarithms near 0 make it more.
        near = abs(losses[1] - losses[0]) <= max(0.05 * abs(losses[0]), 0.05)
        expect(near, f"a loss near {losses[0]:.5g} in phase {phase!r}", f"{losses[1]:.5g} in bfloat16")


def samples_in_bfloat16_are_finite_and_float32(candidate: Candidate) -> None:
    """Samples under precision=bf16 are finite, and float32 like all others."""
    model, (_, y) = train_a_little(candidate.lowered()).eval(), candidate.batch(4)
    x = model.sample(4, y, rng=torch.Generator().manual_seed(0))
    expect(x.dtype == torch.float32, "samples in float32", x.dtype)
    expect(bool(x.isfinite().all()), "finite samples", "some that are infinite or NaN")


def likelihood_and_reconstruction_in_bfloat16_are_those_of_float32(candidate: Candidate) -> None:
    """log_prob under precision=bf16 is that of float32 to 0.05 bits per dimension, and reconstructions to
    0.02 of [-1, 1] on average; of a model with a Likelihood or Latent."""
    model = train_a_little(candidate.lowered()).eval()
    if not isinstance(model, Likelihood | Latent):
        raise NotApplicable("no likelihood and no reconstructions")
    exact = copy.deepcopy(model)
    for network in exact.autocast_networks():
        network._forward_hooks.clear()
        network._forward_pre_hooks.clear()
    (bits, rebuilt), (rounded_bits, rounded) = (measured(each, *candidate.batch()) for each in (exact, model))
    error = float((bits - rounded_bits).abs().max())  # of single images; 8 bits are no model at all
    expect(error < 0.05, "bits per dimension to 0.05", f"a difference of {error:.3g}")
    error = float((rebuilt - rounded).abs().mean())  # codes that flip count in full
    expect(error < 0.02, "reconstructions to 0.02", f"a difference of {error:.3g}")


def measured(model: Generator, x: Tensor, y: Y) -> tuple[Tensor, Tensor]:
    """Return log p in bits per dimension (B,), 0 without a likelihood, and reconstructions, x without
    latents."""
    torch.manual_seed(0)
    with torch.no_grad():
        log_prob = model.log_prob(x, y) if isinstance(model, Likelihood) else torch.zeros(BATCH)
        rebuilt = model.reconstruct(x, y) if isinstance(model, Latent) else x
    return log_prob / (math.prod(model.shape) * math.log(2)), rebuilt
