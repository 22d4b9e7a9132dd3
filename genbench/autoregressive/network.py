"""The network of an autoregressive model: one abstract class between networks and family."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from genbench.autoregressive.pixel_law import PixelLaw

__all__ = ["Cache", "CausalNetwork"]


@dataclass
class Cache:
    """The state of a network between two tokens of sampling, so that nothing is computed twice.

    A new one belongs to each batch of samples; the network fills it on the first token.
    """

    position: int = 0
    """The number of the token whose answer is next."""
    layers: list[tuple[Tensor, ...]] = field(default_factory=list)
    """The state of each layer, in the form that the network chooses."""


class CausalNetwork(nn.Module, ABC):
    """Answers for each token of an image, from the tokens before it and the label.

    Tokens are in raster order: (B, C, H, W) -> (B, N, c), pixel by pixel with c = C and N = H W where the
    distribution is of whole pixels, else channel by channel within each pixel, c = 1 and N = H W C.
    law: the distribution of a token that an answer of P numbers describes.
    Source: van den Oord et al. 2016a, Section 2.1.
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

    @abstractmethod
    def forward(self, x: Tensor, y: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """x (B, C, H, W), y (B,) or None -> (B, N, P), the answer for token i by the tokens before i alone.

        With a cache, the answer for token `cache.position` alone, (B, 1, P), and the position advances by
        one; the cache must have been through all tokens before, whose values x holds. The rest of x must be
        finite and has no influence.
        """

    def to_tokens(self, x: Tensor) -> Tensor:
        """Images as tokens in raster order, channels last: (B, C, H, W) -> (B, N, c), of any dtype."""
        return x.permute(0, 2, 3, 1).reshape(len(x), self.length, self.channels)

    def to_images(self, tokens: Tensor) -> Tensor:
        """Tokens as images that share their memory, the inverse of `to_tokens`: (B, N, c) -> (B, C, H, W).

        A token that is written afterwards shows in the images.
        """
        channels, height, width = self.shape
        return tokens.view(-1, height, width, channels).permute(0, 3, 1, 2)
