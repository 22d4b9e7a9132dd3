"""Autoregressive model: the probability of an image as a product over its tokens."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from genbench.autoregressive.network import Cache, CausalNetwork
from genbench.generator import Inpaints, Likelihood, Loss, Rng, Trajectory, Y, frame_indices
from genbench.runtime import global_batch
from genbench.runtime.rng import fork

__all__ = ["Autoregressive"]


class Autoregressive(Inpaints, Likelihood, Trajectory):
    """log p(x | y) = sum_i log p(x_i | x_1 .. x_{i-1}, y) over the N tokens of an image in raster order.

    The network answers for all tokens of a given image at once; its pixel distribution turns an answer
    into probabilities. Sampling draws one token after another with a cache of those before: N
    network evaluations per sample, as the cost counts them, although each computes one token alone.
    loss is -log p in nats a dimension; step 0 of a training fits the pixel distribution to its batch, if it
    has something to fit (a palette).
    Source: van den Oord et al. 2016a, Eq. 1.
    """

    def __init__(self, shape: tuple[int, int, int], num_classes: int, *, network: CausalNetwork) -> None:
        super().__init__(shape, num_classes)
        self.network = network
        self.bound, self.method = network.law.bound, network.law.method

    def loss(self, x: Tensor, y: Y = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_phase(phase)
        self.check_batch(x, y)
        if global_batch.is_whole():
            self.prepare(x, y, phase=phase, step=step)
        nll = -self.log_prob(x, y).mean() / math.prod(self.shape)
        return Loss(nll, {"nll": nll.detach()})

    def check_replayable(self) -> None:
        """Accept all settings: only the first step of a training differs, which is not recorded."""

    def prepare(self, x: Tensor, y: Y = None, *, phase: str = "net", step: int = 0) -> None:
        if self.training and step == 0:
            self.network.law.fit(self.network.to_tokens(x))
            # The random state is restored, so that parts of a batch draw what the whole batch would.
            with fork(x.device):
                self.network.initialise(x, y if isinstance(y, Tensor) else None)

    def log_prob(self, x: Tensor, y: Y = None) -> Tensor:
        self.check_batch(x, y)
        # A palette's probabilities are those of the nearest colours.
        tokens = self.network.law.snapped(self.network.to_tokens(x))
        return self.network.law.log_prob(self.network(self.network.to_images(tokens), y), tokens)

    @torch.no_grad()
    def sample(self, n: int, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        *_, x = self.states(n, y, rng)
        return x.contiguous()

    @torch.no_grad()
    def trajectory(self, n: int, y: Y = None, *, rng: Rng | None = None, frames: int) -> Tensor:
        """Draw images and return their states on the way, grey (0) where no token is drawn yet.

        (frames, n, C, H, W).
        """
        shown = frame_indices(self.network.length + 1, frames)
        # All states share one memory: those that are shown are copied before the next token is written.
        states = {i: x.clone() for i, x in enumerate(self.states(n, y, rng)) if i in shown}
        return torch.stack([states[i] for i in shown])

    @torch.no_grad()
    def inpaint(self, x: Tensor, mask: Tensor, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        """Draw each token where the mask is True given those before it: (B, C, H, W), the others unchanged.

        Exact where every drawn token comes after all known ones, such as the lower half of an image;
        elsewhere a heuristic, since a token does not depend on the known ones after it.
        """
        self.check_batch(x, y)
        self.check_mask(x, mask)
        *_, filled = self.fill(x, mask.expand_as(x), y, rng)
        return filled.contiguous()

    def states(self, n: int, y: Y = None, rng: Rng | None = None) -> Iterator[Tensor]:
        """Yield empty images, then the images after each token: (n, C, H, W) each, all in one memory."""
        self.check_labels(y, n)
        x = torch.zeros(n, *self.shape, device=next(self.parameters()).device)
        return self.fill(x, torch.ones_like(x, dtype=torch.bool), y, rng)

    def fill(self, x: Tensor, drawn: Tensor, y: Y, rng: Rng | None) -> Iterator[Tensor]:
        """Draw the tokens of x (B, C, H, W) where `drawn` (bool) is True, and yield the images after each.

        All states share one memory. The network sees zeros where no token is written yet.
        """
        # Both in raster order of tokens, as the network sees them.
        known, drawn = self.network.to_tokens(x), self.network.to_tokens(drawn)
        tokens = torch.zeros(known.shape, device=x.device)
        images, cache = self.network.to_images(tokens), Cache()
        yield images
        for i in range(self.network.length):
            # images is a view of tokens: writing a token shows it to the next pass.
            answer = self.network(images, y, cache)[:, 0]
            tokens[:, i] = torch.where(drawn[:, i], self.network.law.sample(answer, rng=rng), known[:, i])
            yield images
