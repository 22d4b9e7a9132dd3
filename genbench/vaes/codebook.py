"""Vector quantisation with a codebook that follows the data by moving averages."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.probability.counts import MOST_CHANNELS, MOST_TOKENS, check_count
from genbench.probability.nearest import nearest
from genbench.runtime import global_batch

__all__ = ["Codebook", "Quantised", "perplexity"]

EMPTY = 1e-5  # share of one vector below which a code counts as never used


class Quantised(NamedTuple):
    """A batch of vectors z_e, replaced by the codes nearest to them."""

    z: Tensor
    """(B, L, h, w): the codes in the forward pass, the identity in the backward pass (straight-through)."""
    index: Tensor  # type: ignore[assignment]  # in the place of the method of tuples
    """(B, h, w) int64 in 0..size-1."""
    commitment: Tensor
    """(): mean over vectors of |z_e - sg[code]|^2 / L, which ties the encoder to its codes."""


class Codebook(nn.Module):
    """`size` vectors e_i of L numbers; all of their state is in buffers, none of it is learned by gradient.

    N_i <- decay N_i + (1 - decay) n_i, m_i <- decay m_i + (1 - decay) sum of the n_i vectors nearest to e_i,
    e_i = m_i / N_i, once a training step. A code whose N_i is below `restart` is set to a random vector of
    the batch; all of them are in the first step. Raises ValueError on settings that no codebook can have.
    Source: van den Oord et al. 2017, Eq. 1 to 3 and Appendix A.1; restarts: Dhariwal et al. 2020 (Jukebox),
    Section 3.1.
    """

    codes: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, size: int, dimensions: int, *, decay: float = 0.99, restart: float = 0.1) -> None:
        super().__init__()
        # Of a single code, all that a prior could model is known.
        check_count("model.codebook.size", size, MOST_TOKENS, least=2, usual=128)
        check_count("model.codebook.dimensions", dimensions, MOST_CHANNELS, usual=16)
        if not 0 <= decay < 1:
            raise ValueError(f"model.codebook.decay is {decay}; it must be at least 0 and below 1, e.g. 0.99")
        if not restart >= 0:
            raise ValueError(f"model.codebook.restart is {restart}; it must be at least 0 (never), e.g. 0.1")
        self.size, self.dimensions = size, dimensions
        self.decay, self.restart = decay, restart
        codes = torch.randn(size, dimensions) / dimensions**0.5
        self.register_buffer("codes", codes)
        self.register_buffer("counts", torch.zeros(size))
        self.register_buffer("sums", torch.zeros_like(codes))
        self.rows = global_batch.StepRows()

    def forward(self, z: Tensor) -> Quantised:
        """Quantise z (B, L, h, w) in float32.

        In training mode under gradient the codebook is updated once all parts of the batch are known, after
        this batch is quantised by the old codes.
        """
        z = z.float()
        vectors = z.movedim(1, -1)  # (B, h, w, L)
        index = self.nearest(vectors.detach())
        codes = self.look_up(index)  # (B, L, h, w)
        if self.training and torch.is_grad_enabled():
            rows = self.rows.complete([vectors.detach(), index])
            if rows is not None:
                self.update(rows[0].flatten(0, -2), rows[1].flatten())
        # Straight-through: forward the codes, backward the identity.
        return Quantised(z + (codes - z).detach(), index, F.mse_loss(z, codes))

    def nearest(self, vectors: Tensor) -> Tensor:
        """The index in 0..size-1 of the code nearest to each vector: (..., L) -> (...) int64.

        Nearest by the squared distance; the last dimension of the vectors holds their L numbers.
        """
        return nearest(vectors, self.codes)

    def look_up(self, index: Tensor) -> Tensor:
        """The codes e_i of a map of indices, as a map: (B, h, w) int64 in 0..size-1 -> (B, L, h, w).

        No gradient passes to the codes, which are buffers.
        """
        return self.codes[index].movedim(-1, 1)

    @torch.no_grad()
    def update(self, vectors: Tensor, index: Tensor) -> None:
        """Move each code towards the mean of its vectors (N, L) of a whole batch, given their index (N,)."""
        unused = self.counts < self.restart
        assigned = F.one_hot(index, self.size).to(vectors.dtype)  # (N, size)
        self.counts.lerp_(assigned.sum(0), 1 - self.decay)
        self.sums.lerp_(assigned.T @ vectors, 1 - self.decay)
        # With restart=0 codes that no vector ever chose still need a start: m / N would be 0 / 0.
        unused |= self.counts < EMPTY
        drawn = vectors[torch.randint(len(vectors), (self.size,), device=vectors.device)]
        self.counts.copy_(torch.where(unused, 1.0, self.counts))
        self.sums.copy_(torch.where(unused[:, None], drawn, self.sums))
        self.codes.copy_(self.sums / self.counts[:, None])


def perplexity(index: Tensor, size: int) -> Tensor:
    """exp(-sum p log p) of the shares p of the codes in a batch, from 1 (one code) to size (all alike).

    index (...) int64 in 0..size-1 -> () float32.
    """
    share = F.one_hot(index.flatten(), size).float().mean(0)  # bincount would wait for the device
    return torch.exp(-torch.xlogy(share, share).sum())
