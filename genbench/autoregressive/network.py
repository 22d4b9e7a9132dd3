"""The networks of models over tokens: the abstract classes between networks and families."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genbench.autoregressive.pixel_law import PixelLaw
from genbench.probability.token_cache import Cache

__all__ = ["Cache", "CausalNetwork", "MaskedNetwork", "TokenNetwork"]


class TokenNetwork(nn.Module):
    """A network that answers P numbers for each token of an image, which describe the token's distribution.

    Tokens are in raster order: (B, C, H, W) -> (B, N, c), pixel by pixel with c = C and N = H W where the
    distribution is of whole pixels, else channel by channel within each pixel, c = 1 and N = H W C.
    law: the distribution of a token that an answer of P numbers describes.
    """

    def __init__(self, shape: Sequence[int], num_classes: int, law: PixelLaw) -> None:
        super().__init__()
        self.shape, self.num_classes, self.law = tuple(shape), num_classes, law
        channels, height, width = self.shape
        self.channels = channels if law.whole_pixels else 1
        """c, of a token."""
        self.tokens_per_pixel = channels // self.channels
        self.length = height * width * self.tokens_per_pixel
        """N, tokens of an image."""
        self.symbols = self.channels * law.levels if law.ordered else law.levels
        """Numbers that `numbers` answers with, for an embedding."""

    def numbers(self, tokens: Tensor) -> Tensor:
        """The numbers of the levels of tokens, apart for each channel: (B, N, c) -> (B, N, c), or (B, N, 1)
        where a level is a name; int64 in 0..symbols - 1.
        """
        level = self.law.to_level(tokens)
        return level + torch.arange(level.shape[-1], device=tokens.device) * self.law.levels

    def to_tokens(self, x: Tensor) -> Tensor:
        """Images as tokens in raster order, channels last: (B, C, H, W) -> (B, N, c), of any dtype."""
        return x.permute(0, 2, 3, 1).reshape(len(x), self.length, self.channels)

    def to_images(self, tokens: Tensor) -> Tensor:
        """Tokens as images that share their memory, the inverse of `to_tokens`: (B, N, c) -> (B, C, H, W).

        A token that is written afterwards shows in the images.
        """
        channels, height, width = self.shape
        return tokens.view(-1, height, width, channels).permute(0, 3, 1, 2)


class CausalNetwork(TokenNetwork, ABC):
    """Answers for each token of an image, from the tokens before it and the label.

    Source: van den Oord et al. 2016a, Section 2.1.
    """

    @abstractmethod
    def forward(self, x: Tensor, y: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """x (B, C, H, W), y (B,) or None -> (B, N, P), the answer for token i by the tokens before i alone.

        With a cache, the answer for token `cache.position` alone, (B, 1, P), and the position advances by
        one; the cache must have been through all tokens before, whose values x holds. The rest of x must be
        finite and has no influence.
        """

    def initialise(self, x: Tensor, y: Tensor | None = None) -> None:
        """Set what a network takes from the first batch of a training, such as scales; by default nothing.

        x (B, C, H, W), y (B,) or None: this process's rows of the batch. Draws from the default generator.
        """


class MaskedNetwork(TokenNetwork, ABC):
    """Answers for each token of an image, from all tokens that are not masked and the label.

    Its answers for masked tokens describe p(x_i | the tokens that are not masked, y), which does not depend
    on the time at which they are masked: so the network is not given one.
    Source: Sahoo et al. 2024 (MDLM), Section 3.2; without the time: Ou et al. 2024, Section 3.1.
    """

    @abstractmethod
    def forward(self, x: Tensor, masked: Tensor, y: Tensor | None = None) -> Tensor:
        """x (B, C, H, W), masked (B, N) bool, y (B,) int64 or None -> (B, N, P).

        What x holds at masked tokens must be finite and has no influence. y: a label, or the number K for the
        null class, which None is too.
        """
