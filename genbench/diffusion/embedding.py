"""Embeddings of images: the frozen network that makes them, and the tokens by which a network attends to
them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genbench.probability.counts import MOST_CHANNELS, check_count
from genbench.probability.moments import deviation, update_moments
from genbench.text.condition import Encoded, Encoding

__all__ = ["EmbeddingTokens", "StandardEmbedding"]


class StandardEmbedding(nn.Module):
    """z = (f(x) - mean) / deviation, each number of f with its own: x (B, C, H, W) in [-1, 1] -> (B, F).

    encoder: f, x -> (B, F); its weights are frozen here. mean and deviation are running ones of the batches
    that `follow` was given, 0 and 1 before. shape: (C, H, W).
    Raises ValueError on an encoder that takes no such images, or answers something else.
    """

    mean: Tensor
    square: Tensor
    batches: Tensor

    def __init__(self, encoder: nn.Module, shape: Sequence[int]) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False).eval()
        name, x = type(encoder).__name__, torch.zeros(2, *shape)
        try:
            found = self.raw(x)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(
                f"image_encoder is {name}, which cannot take images of {tuple(shape)}: {reason}"
            ) from error
        if found.dim() != 2 or len(found) != 2:
            raise ValueError(
                f"image_encoder is {name}, which answers {tuple(found.shape)} for 2 images; it must be (2, F)"
            )
        self.features = found.shape[1]
        self.register_buffer("mean", torch.zeros(self.features))
        self.register_buffer("square", torch.ones(self.features))
        self.register_buffer("batches", torch.zeros(()))

    def train(self, mode: bool = True) -> "StandardEmbedding":
        """Remain in evaluation mode, whatever the model around it does: z depends on its image alone."""
        return super().train(False)

    @torch.no_grad()
    def raw(self, x: Tensor) -> Tensor:
        """Return f(x), which is not standardised: (B, C, H, W) -> (B, F) float32."""
        found: Tensor = self.encoder(x)
        return found.float()

    def follow(self, x: Tensor) -> None:
        """Update mean and deviation by a batch of images (B, C, H, W), each batch with the same weight."""
        update_moments(self.raw(x), self.mean, self.square, self.batches)

    def forward(self, x: Tensor) -> Tensor:
        return (self.raw(x) - self.mean) / deviation(self.mean, self.square)


class EmbeddingTokens(nn.Module):
    """An embedding as a text of so many tokens, before those of a text that it stands beside.

    z (B, F), text of B rows or None -> Encoded, hidden (B, tokens [+ L], E); its null condition is z = 0, the
    mean of standardised embeddings, with the empty text.
    features: F. width: E. Raises ValueError on a number of tokens that cannot be.
    Source: Ramesh et al. 2022, Section 2.1: four tokens, and a vector added to the embedding of the time.
    """

    def __init__(self, features: int, width: int, tokens: int) -> None:
        super().__init__()
        check_count("model.tokens", tokens, MOST_CHANNELS, usual=4)
        self.tokens, self.width = tokens, width
        self.hidden = nn.Linear(features, tokens * width)
        self.pooled = nn.Linear(features, width)

    def forward(self, z: Tensor, text: Encoded | None = None) -> Encoded:
        own, empty = self.encoding(z), self.encoding(torch.zeros_like(z[:1]))
        if text is None:
            return Encoded(own, empty)
        return Encoded(joined(own, text.own), joined(empty, text.empty))

    def encoding(self, z: Tensor) -> Encoding:
        """Return the tokens and the pooled vector of embeddings (B, F)."""
        hidden = self.hidden(z).reshape(len(z), self.tokens, self.width)
        mask = torch.ones(len(z), self.tokens, dtype=torch.bool, device=z.device)
        return Encoding(hidden, mask, self.pooled(z))


def joined(first: Encoding, second: Encoding) -> Encoding:
    """Put the tokens of two encodings one after the other, and add their pooled vectors."""
    return Encoding(
        torch.cat([first.hidden, second.hidden], dim=1),
        torch.cat([first.mask, second.mask], dim=1),
        first.pooled + second.pooled,
    )
