"""The interface of every peer, whatever library it comes from."""

from abc import ABC, abstractmethod

from torch import Tensor

__all__ = ["Peer"]


class Peer(ABC):
    """A model with its own guide's settings and the body of its own guide's training loop."""

    name: str
    """The library, as it stands in tables."""
    batch_size: int
    """Images of one step, as the guide has it."""
    parameters: int
    """Of all networks that are trained."""

    @abstractmethod
    def train_step(self, images: Tensor) -> None:
        """One step of the guide's loop, on images (B, 1, 28, 28) uint8."""

    @abstractmethod
    def sample(self, n: int) -> Tensor:
        """Images as the guide draws them: (n, 1, 28, 28) uint8."""
