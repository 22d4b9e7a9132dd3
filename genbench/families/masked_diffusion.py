"""Masked diffusion: tokens of an image are masked at random, and a network learns to fill them in."""

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from genbench.autoregressive.masking import random_order
from genbench.autoregressive.network import MaskedNetwork
from genbench.autoregressive.unmasking import Proposal, Unmasking
from genbench.diffusion.guidance import ClassifierFree, Unguided
from genbench.diffusion.times import lattice
from genbench.generator import (
    BoundTerms,
    Edits,
    ForwardProcess,
    Likelihood,
    Loss,
    Rng,
    Trajectory,
    Y,
    check_frames,
    frame_indices,
)
from genbench.probability.counts import MOST_PASSES, check_count
from genbench.runtime import global_batch
from genbench.text.condition import Conditioning
from genbench.text.legal import labels_of

__all__ = ["MaskedDiffusion"]


class MaskedDiffusion(Edits, Likelihood, Trajectory, ForwardProcess, BoundTerms):
    """-log p(x | y) <= integral over t in (0, 1) of -alpha'(t) / (1 - alpha(t)) E[sum over the masked tokens
    of -log p(x_i | the tokens that are not masked, y)], tokens masked independently with 1 - alpha(t).

    At a share u = 1 - alpha(t) the integral is that of 1 / u over u, so that the schedule alpha plays no
    part. Over u each number m of masked tokens has the same probability, and the weight 1 / u makes it 1 / m:
    the bound is sum_{m=1}^N 1 / m E[sum over m masked tokens], that of an autoregressive model in a random
    order. The training draws one m for each image, evenly over the batch, and m tokens; loss in nats a
    dimension.
    network: answers for masked tokens, and knows their distribution. unmasking: the sampler.
    terms: of the bound that log_prob evaluates for each image; None: all N. guidance: classifier-free, on
    logits, or none; log_prob is that of the model without guidance.
    An image is given and completed exactly as p says, since tokens that are known are never masked.
    Raises ValueError on numbers outside their range, and on guidance that the model cannot have.
    Source: Shi et al. 2024 (MD4), Eq. 4; Sahoo et al. 2024 (MDLM), Eq. 10; the sum over m: Uria et al. 2014,
    Eq. 6, and Hoogeboom et al. 2022, Eq. 4; guidance: Schiff et al. 2024, Eq. 4.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        network: MaskedNetwork,
        unmasking: Unmasking,
        guidance: Unguided | ClassifierFree | None = None,
        terms: int | None = 10,
    ) -> None:
        super().__init__(shape, num_classes)
        if terms is not None:
            check_count("model.terms", terms, MOST_PASSES, usual=10)
        unmasking.check(network.length)
        self.network, self.unmasking, self.terms = network, unmasking, terms
        self.guidance = guidance or Unguided()
        if not isinstance(self.guidance, Unguided | ClassifierFree):  # such as one by gradients of images
            raise ValueError(
                f"guidance is {type(self.guidance).__name__}, which tokens cannot have: use "
                "guidance=classifier_free or guidance=none"
            )
        self.guidance.check(labels_of(self.example()[1]))
        law = network.law
        if isinstance(guidance, ClassifierFree) and not law.softmax:
            raise ValueError(
                f"guidance=classifier_free mixes logits, and {type(law).__name__} has none: use "
                "pixel_law=categorical or palette, or guidance=none"
            )
        rows = network.length if terms is None else min(terms, network.length)
        self.bound = "lower" if law.bound == "exact" else law.bound
        self.method = f"masked tokens, {rows} terms" if law.bound == "exact" else law.method

    def loss(self, x: Tensor, y: Y = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_phase(phase)
        self.check_batch(x, y)
        if global_batch.is_whole():
            self.prepare(x, y, phase=phase, step=step)
        count = self.counts(lattice(len(x), x.device))
        nll = self.nats(x, self.guidance.labels(labels_of(y)), count).mean() / math.prod(self.shape)
        return Loss(nll, {"nll": nll.detach()})

    def check_replayable(self) -> None:
        """Accept all settings: only the first step of a training differs, which is not recorded."""

    def prepare(self, x: Tensor, y: Y = None, *, phase: str = "net", step: int = 0) -> None:
        if self.training and step == 0:
            self.network.law.fit(self.network.to_tokens(x))

    def log_prob(self, x: Tensor, y: Y = None) -> Tensor:
        self.check_batch(x, y)
        rows = min(self.terms or self.network.length, self.network.length)
        # Each row has its own part of the numbers of masked tokens, which images cover evenly.
        parts = ((j + lattice(len(x), x.device)) / rows for j in range(rows))
        return -torch.stack([self.nats(x, labels_of(y), self.counts(part)) for part in parts]).mean(0)

    @torch.no_grad()
    def bound_terms(self, x: Tensor, y: Y = None) -> Iterator[Tensor]:
        """Yield the terms of m = 1..N masked tokens, then 0: all images are the same once all is masked."""
        self.check_batch(x, y)
        for m in range(1, self.network.length + 1):
            yield self.nats(x, labels_of(y), torch.full((len(x),), m, device=x.device)) / self.network.length
        yield torch.zeros(len(x), device=x.device)

    def counts(self, u: Tensor) -> Tensor:
        """The number m = 1..N of masked tokens that u in [0, 1) falls to: (B,) -> (B,) int64."""
        return (u * self.network.length).long().clamp(max=self.network.length - 1) + 1

    def nats(self, x: Tensor, y: Conditioning, count: Tensor) -> Tensor:
        """N / m times the cross entropy of m masked tokens, drawn here: its mean over m is the bound.

        x (B, C, H, W), count (B,) -> (B,) nats.
        """
        tokens = self.network.law.snapped(self.network.to_tokens(x))
        masked = self.order(x) < count[:, None]
        seen = self.network.to_images(tokens.masked_fill(masked[..., None], 0))
        log_p = self.each(self.network(seen, masked, y), tokens)
        return -(log_p * masked).sum(1) * (self.network.length / count)

    def each(self, output: Tensor, tokens: Tensor) -> Tensor:
        """log p of each token by itself: (B, N, P), (B, N, c) -> (B, N) nats."""
        flat = self.network.law.log_prob(output.flatten(0, 1)[:, None], tokens.flatten(0, 1)[:, None])
        return flat.view(tokens.shape[:2])

    @torch.no_grad()
    def sample(self, n: int, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        *_, x = self.states(n, y, rng)
        return x.contiguous()

    @torch.no_grad()
    def trajectory(self, n: int, y: Y = None, *, rng: Rng | None = None, frames: int) -> Tensor:
        """Draw images and return their states on the way, grey (0) where a token is masked.

        (frames, n, C, H, W).
        """
        states = list(self.states(n, y, rng))
        return torch.stack([states[k] for k in frame_indices(len(states), frames)])

    @torch.no_grad()
    def inpaint(self, x: Tensor, mask: Tensor, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        self.check_batch(x, y)
        self.check_mask(x, mask)
        *_, filled = self.fill(x, self.network.to_tokens(mask.expand_as(x))[..., 0], y, rng)
        return filled.contiguous()

    @torch.no_grad()
    def vary(self, x: Tensor, y: Y = None, *, strength: float, rng: Rng | None = None) -> Tensor:
        """Draw a share `strength` of the tokens of x anew, a random set: (B, C, H, W) -> as x."""
        self.check_batch(x, y)
        if not 0 < strength <= 1:
            raise ValueError(f"strength is {strength}; it must be above 0 and at most 1 (a new image)")
        *_, varied = self.fill(x, self.order(x, rng) < strength * self.network.length, y, rng)
        return varied.contiguous()

    @torch.no_grad()
    def forward_process(self, x: Tensor, *, rng: Rng | None = None, frames: int) -> Tensor:
        self.check_images(x)
        check_frames(frames)
        order, last = self.order(x, rng), self.network.length / (frames - 1)
        tokens = self.network.to_tokens(x)
        # One order for all frames, so that what is masked remains so.
        states = (tokens.masked_fill((order < k * last)[..., None], 0) for k in range(frames))
        return torch.stack([self.network.to_images(state) for state in states])

    def noise_levels(self) -> tuple[Tensor, Tensor]:
        t = torch.linspace(0, 1, 101, dtype=torch.float64)
        return t, 1 - t

    def order(self, x: Tensor, rng: Rng | None = None) -> Tensor:
        """Draw an order of the tokens of each image in which they are masked: (B, ..) -> (B, N) int64."""
        return random_order(len(x), self.network.length, x.device, rng)

    def states(self, n: int, y: Y = None, rng: Rng | None = None) -> Iterator[Tensor]:
        """Yield empty images, then the images after each step: (n, C, H, W) each."""
        self.check_labels(y, n)
        x = torch.zeros(n, *self.shape, device=next(self.parameters()).device)
        return self.fill(x, x.new_ones(n, self.network.length, dtype=torch.bool), y, rng)

    def fill(self, x: Tensor, masked: Tensor, y: Y, rng: Rng | None) -> Iterator[Tensor]:
        """Draw the masked tokens (B, N) of x (B, C, H, W), and yield the images before and after each step.

        A masked token is grey, 0; the others remain as they are.
        """
        known, law, total = self.network.to_tokens(x), self.network.law, masked.sum(1)
        tokens = known.masked_fill(masked[..., None], 0)
        yield self.network.to_images(tokens)
        for t, s in pairwise(self.unmasking.times(self.network.length)):
            output = self.answer(self.network.to_images(tokens), masked, labels_of(y), t)
            values = law.sample(output.flatten(0, 1), rng=rng).view_as(tokens)
            proposal = Proposal(masked, total, self.each(output, values))
            remain = self.unmasking.remain(proposal, t, s, rng) & masked
            tokens = torch.where((masked & ~remain)[..., None], values, tokens)
            masked = remain
            yield self.network.to_images(tokens)

    def answer(self, x: Tensor, masked: Tensor, y: Tensor | None, t: float) -> Tensor:
        """The network's answers at time t, guided: log p_u + scale (log p - log p_u): (B, N, P)."""
        guidance = self.guidance.at(t)
        if not isinstance(guidance, ClassifierFree) or guidance.scale == 1:
            return self.network(x, masked, y)
        free = self.network(x, masked, guidance.nothing(y))
        return free + guidance.scale * (self.network(x, masked, y) - free) if guidance.scale else free
