"""Autoregressive model: the probability of an image as a product over its tokens."""

import math

import torch
from torch import Tensor

from genbench.autoregressive.network import Cache, CausalNetwork
from genbench.generator import Inpaints, Likelihood, Loss, Rng

__all__ = ["Autoregressive"]


class Autoregressive(Inpaints, Likelihood):
    """log p(x | y) = sum_i log p(x_i | x_1 .. x_{i-1}, y) over the tokens of an image in raster order.

    The network answers for all tokens of a given image at once; its law says what an answer means. Sampling
    asks it for one token after another with what it keeps of those before: N passes a sample, as the cost
    counts them, although each is the work of one token.
    loss is -log p in nats a dimension.
    Source: van den Oord et al. 2016a, Eq. 1.
    """

    bound = "exact"
    method = "chain rule"

    def __init__(self, shape: tuple[int, int, int], num_classes: int, *, network: CausalNetwork) -> None:
        super().__init__(shape, num_classes)
        self.network = network

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_phase(phase)
        nll = -self.log_prob(x, y).mean() / math.prod(self.shape)
        return Loss(nll, {"nll": nll.detach()})

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        self.check_batch(x, y)
        law = self.network.law
        x = law.to_value(law.to_level(x))
        return law.log_prob(self.network(x, y), self.network.to_tokens(x))

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        self.check_labels(y, n)
        x = torch.zeros(n, *self.shape, device=next(self.parameters()).device)
        return self.fill(x, torch.ones_like(x, dtype=torch.bool), y, rng)

    @torch.no_grad()
    def inpaint(self, x: Tensor, mask: Tensor, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        """Each token where the mask is True drawn given those before it, the others kept: (B, C, H, W).

        Exact where all that is drawn stands behind all that is known, such as the lower half of an image;
        elsewhere a heuristic, since what is drawn knows nothing of the known pixels behind it.
        """
        self.check_batch(x, y)
        self.check_mask(x, mask)
        return self.fill(x, mask.expand_as(x), y, rng)

    def fill(self, x: Tensor, drawn: Tensor, y: Tensor | None, rng: Rng | None) -> Tensor:
        """The images x with what is `drawn`, (B, C, H, W) bool, token by token."""
        known, drawn = self.network.to_tokens(x), self.network.to_tokens(drawn)
        tokens = torch.zeros(known.shape, device=x.device)
        images, cache = self.network.to_images(tokens), Cache()
        for i in range(self.network.length):
            answer = self.network(images, y, cache)[:, 0]
            tokens[:, i] = torch.where(drawn[:, i], self.network.law.sample(answer, rng=rng), known[:, i])
        return images.contiguous()
