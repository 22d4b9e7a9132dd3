"""The networks of a flow's layers: the abstract classes between networks and flow."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from genbench.probability.counts import MOST_CHANNELS, MOST_KERNEL, check_count
from genbench.probability.token_cache import Cache

__all__ = ["CausalNet", "CausalNets", "CouplingNets"]


class CouplingNets(ABC):
    """Makes the networks of a flow, which needs many, each for its own numbers of channels.

    Each answers `network(x (B, inputs, H, W), y (B,) or None) -> (B, outputs, H, W)`, and 0 at first.
    num_classes: 0 is unconditional. width: channels inside the networks. dropout: its rate inside them.
    kernel: side of the spatial convolutions; 1 for maps of one pixel, where it makes perceptrons.
    Raises ValueError on an odd width or an even kernel.
    """

    def __init__(
        self, num_classes: int = 0, *, width: int = 64, kernel: int = 3, dropout: float = 0.0
    ) -> None:
        check_count("network.width", width, MOST_CHANNELS, least=2, usual=64)
        if width % 2:
            raise ValueError(f"network.width is {width}; it must be even, e.g. 64")
        check_count("network.kernel", kernel, MOST_KERNEL, usual=3)
        if kernel % 2 == 0:
            raise ValueError(f"network.kernel is {kernel}; it must be odd, e.g. 3")
        self.num_classes, self.width, self.kernel, self.dropout = num_classes, width, kernel, dropout

    @abstractmethod
    def build(self, inputs: int, outputs: int) -> nn.Module:
        """A new network with weights of its own, which answers 0 at first.

        x (B, inputs, H, W), y (B,) int64 where num_classes > 0 -> (B, outputs, H, W), for maps of any size.
        """


class CausalNet(nn.Module, ABC):
    """Answers for each token of a sequence, from the tokens before it and the label; 0 at first."""

    @abstractmethod
    def forward(self, x: Tensor, y: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """x (B, T, inputs), y (B,) int64 or None -> (B, T, outputs), the answer for token i by the tokens
        before i alone.

        y: a label, or the number K of classes for the null class, which None is too.
        With a cache, the answer for token `cache.position` alone, (B, 1, outputs), and the position advances
        by one; x then holds the tokens before it, and the rest of x has no influence.
        """


class CausalNets(ABC):
    """Makes the networks of an autoregressive flow, one for each of its layers."""

    @abstractmethod
    def build(self, tokens: int, inputs: int, outputs: int) -> CausalNet:
        """A new network with weights of its own for sequences of `tokens` tokens, which answers 0 at first:
        (B, tokens, inputs) -> (B, tokens, outputs).
        """
