"""The networks of a flow's coupling layers: one abstract class between networks and flow."""

from abc import ABC, abstractmethod

from torch import nn

from genbench.probability.counts import MOST_CHANNELS, MOST_KERNEL, check_count

__all__ = ["CouplingNets"]


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
