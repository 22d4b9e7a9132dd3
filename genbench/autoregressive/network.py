"""What a network that draws images token by token answers, at once or one after another."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from genbench.autoregressive.pixel_law import PixelLaw

__all__ = ["Cache", "CausalNetwork"]


@dataclass
class Cache:
    """What a network keeps of the tokens before, while images come about."""

    position: int = 0
    """The token whose answer is next."""
    layers: list[tuple[Tensor, ...]] = field(default_factory=list)
    """What each layer keeps; the network alone knows what."""


class CausalNetwork(nn.Module, ABC):
    """Answers for each token of an image, from the tokens before it and the label.

    Tokens stand in raster order: (B, C, H, W) -> (B, N, c), pixel by pixel with c = C and N = H W where the
    law decides whole pixels, else channel by channel within each pixel, c = 1 and N = H W C.
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

        With a cache, the answer for token `cache.position` alone, (B, 1, P), and the cache moves on by one;
        it must have gone through the tokens before, of which x holds the last values; other values of x
        must be finite and play no part.
        """

    def to_tokens(self, x: Tensor) -> Tensor:
        """Images as tokens: (B, C, H, W) -> (B, N, c)."""
        return x.permute(0, 2, 3, 1).reshape(len(x), self.length, self.channels)

    def to_images(self, tokens: Tensor) -> Tensor:
        """Tokens as images, which share their memory: (B, N, c) -> (B, C, H, W)."""
        channels, height, width = self.shape
        return tokens.view(-1, height, width, channels).permute(0, 3, 1, 2)
